"""Readers of a run's metrics: the page, the terminal, TensorBoard, Weights & Biases."""
