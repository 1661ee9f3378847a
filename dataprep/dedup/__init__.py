"""Duplicates: of documents, pieces and substrings; tasks from signatures to decisions."""
