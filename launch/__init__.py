"""The chassis under all stages: recipe, manifest, lock, log, engines, command line.

`launch` imports no stage when it is itself imported: a corpus machine has no torch.
"""
