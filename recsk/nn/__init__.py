"""Networks, losses, samplers and the training loop: PyTorch only."""
