"""Which tensors a fast path takes, and word, once, of those that the reference runs instead."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

logger = logging.getLogger(__name__)


def takes(device_type: str, operation: str, tensors: Iterable[Tensor]) -> bool:
    """Whether all are contiguous float32 tensors on such a device.

    Tensors on another device are another path's; for the other two reasons the log names
    `operation` and the reason.
    """
    for tensor in tensors:
        if tensor.device.type != device_type:
            return False
        if tensor.dtype != torch.float32:
            return refuse(operation, f"a tensor is {tensor.dtype}, expected torch.float32")
        if not tensor.is_contiguous():
            return refuse(operation, "a tensor is not contiguous")
    return True


@cache
def refuse(operation: str, reason: str) -> bool:
    """False; and the first time it says that the reference runs instead."""
    logger.warning("%s runs the slow reference in plain PyTorch: %s", operation, reason)
    return False
