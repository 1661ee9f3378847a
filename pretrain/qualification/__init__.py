"""Traces of tensors: what differs between two layouts or two machines, and where."""
