"""Which tokens, in which order, as micro-batches."""
