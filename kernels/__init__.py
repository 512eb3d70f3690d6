"""Triton kernels, one fused idea a file. Triton is imported here and nowhere else."""
