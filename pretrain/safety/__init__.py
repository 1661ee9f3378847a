"""Signals, hangs, slow and lost ranks, restarts: what keeps a run alive and honest."""
