"""Pretraining: tokens in, a trained Megatron-core model, its losses and its checkpoints out."""
