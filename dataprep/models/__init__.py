"""Models that judge documents: trained from the user's own labels, on the user's own machine."""
