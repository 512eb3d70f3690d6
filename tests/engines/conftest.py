"""Runs a test with each instruction set that this processor has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=_core.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.instruction_set()
    _core.use_instruction_set(request.param)
    yield request.param
    _core.use_instruction_set(before)


@pytest.fixture(params=_core.bf16_instruction_sets())
def bf16_instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each that multiplies bfloat16 numbers here, also where it is slower than float32."""
    _core.use_bf16_instruction_set(request.param)
    yield request.param
    _core.use_bf16_instruction_set("")
