"""Preparations that get SIGKILL at random moments leave a whole store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import killed_prepare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.xdist_group("kill")
@pytest.mark.filterwarnings("ignore")
def test_a_killed_preparation_leaves_a_whole_store(tmp_path: Path) -> None:
    killed_prepare.kill_often(tmp_path, 20)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
