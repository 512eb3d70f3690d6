"""Random float64 tensors, and how closely float64 results must agree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)
