"""What is measured of a document, and the rules and lists that judge it."""
