"""The fused depth network in PyTorch, one module a block; the rest of the package runs without."""
