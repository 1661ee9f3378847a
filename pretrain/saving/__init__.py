"""Checkpoints: written whole, loaded under any layout, branched from, averaged."""
