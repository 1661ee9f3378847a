"""Documents in, tokens out: train a lossless SentencePiece model, encode to Megatron's format."""
