"""Programmatic dependent launch: a kernel begins before the one that it depends on has ended.

Without it, a kernel's first load waits for the end of all programs of the kernel before. With it
(CUDA, compute capability 9.0 and later; `launch_pdl` of Triton), the programs of the next kernel
begin once all programs of this one have passed `wait_for_writes`, and wait there in turn. Until
then a kernel may load only what no unfinished kernel writes, which is the step's record alone: not
the weights either, which the last kernel of a step updates. It may write nothing.

All programs wait, those without work too, before they go on or end. So once a kernel has ended, all
before it have ended as well.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra import cuda

LAUNCH_OPTION = "launch_pdl"


@triton.jit
def wait_for_writes(DEPENDENT: tl.constexpr):
    """Wait for the end of the kernel before, and let the next one begin; without DEPENDENT nothing.

    Before it, only the step's record is read.
    """
    if DEPENDENT:
        cuda.gdc_wait()
        cuda.gdc_launch_dependents()
