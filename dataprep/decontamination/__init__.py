"""Items of evaluation sets found in documents, and the review of what was found."""
