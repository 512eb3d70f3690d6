"""Tests of the Triton kernels, on a GPU where there is one and else under Triton's interpreter."""
