"""Lets the kernels run without a GPU: the interpreter must be chosen before Triton is imported."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from tests.kernels.interpreter_index import repair_index

if not torch.cuda.is_available():
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        raise pytest.UsageError(
            "Triton was imported before its interpreter was chosen: run tests/kernels alone"
        )
    os.environ["TRITON_INTERPRET"] = "1"
    repair_index()


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
