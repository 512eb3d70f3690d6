"""A short form of `make soak`: rounds give equal results, and memory does not grow by much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import soak

if TYPE_CHECKING:
    from pathlib import Path

GROWTH = 2**20
"""Bytes a round in so few rounds, in which pools still grow; a round's arrays take some 10 MB."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_rounds_are_equal_and_memory_stays(tmp_path: Path) -> None:
    run = soak.soak(tmp_path, 0, 5)
    assert len(run.memory) == 5
    assert run.slope() < GROWTH
    assert not list(tmp_path.iterdir())
