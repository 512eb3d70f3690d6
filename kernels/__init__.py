"""Triton kernels, one fused operation a file. No other package imports Triton.

Losses, cells and optimisers are parts: sub-packages with one file a part and one table each. A part
is a set of `triton.jit` functions that a kernel takes as `tl.constexpr` arguments, so the compiler
inlines the chosen functions and the compiled kernel never tests which part it runs.
"""
