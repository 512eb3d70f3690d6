"""`recommend` on a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tests.cli.commands import TINY, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_recommend_can_leave_out_what_was_seen(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    assert run(logs[0], "-ps", TINY, "-s", model) == 0
    items = [str(item) for item in pd.read_csv(logs[0], sep="\t").ItemId.unique()]
    capsys.readouterr()
    assert run("recommend", model, *items[:3], "-k", "1000", "--exclude-seen") == 0
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert sorted(shown) == sorted(items[3:])
