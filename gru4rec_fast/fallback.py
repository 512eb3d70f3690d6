"""Which tensors a fast path takes, and word, once, of those that the reference runs instead."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

logger = logging.getLogger(__name__)


def takes(
    device_type: str,
    operation: str,
    tensors: Sequence[Tensor],
    with_contiguous_rows: Sequence[Tensor] = (),
) -> bool:
    """Whether all are float32 tensors on such a device, contiguous or with contiguous rows.

    Tensors on another device are another path's; for the other two reasons the log names
    `operation` and the reason.
    """
    every = [*tensors, *with_contiguous_rows]
    if any(tensor.device.type != device_type for tensor in every):
        return False
    for tensor in every:
        if tensor.dtype != torch.float32:
            return refuse(operation, f"a tensor is {tensor.dtype}, expected torch.float32")
    rows = (t[:1] if t.dim() > 1 else t for t in with_contiguous_rows)
    if not all(tensor.is_contiguous() for tensor in (*tensors, *rows)):
        return refuse(operation, "a tensor is not contiguous")
    return True


@cache
def refuse(operation: str, reason: str) -> bool:
    """False; and the first time it says that the reference runs instead."""
    logger.warning("%s runs the slow reference in plain PyTorch: %s", operation, reason)
    return False
