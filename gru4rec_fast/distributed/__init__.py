"""Training by several processes, the ranks of `torch.distributed` (SPEC section 11)."""
