"""What may be done with a document: its licence, the evidence for it, and what its site asks."""
