"""`recommend` on a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import GRU4Rec
from tests.cli.commands import TINY, error_of, run
from tests.logs import OTHER_KEYS, OTHER_NAMES, random_log, write_log

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"layers": 8, "batch_size": 8, "n_sample": 16, "n_epochs": 1}


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


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "csv.gz"])
def test_a_table_for_all_sessions_of_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    gru = GRU4Rec(**SMALL, device="cpu")
    gru.fit(random_log().rename(columns=OTHER_NAMES), **OTHER_KEYS, progress=False)
    gru.savemodel(tmp_path / "model")
    log = random_log(n_sessions=9, seed=3)
    log.loc[log.SessionId == 1003, "ItemId"] = 999_999
    known = log[log.SessionId != 1003].sort_values(["SessionId", "Time"], kind="stable")
    # The model knows the names of the columns.
    path = write_log(log.rename(columns=OTHER_NAMES), tmp_path / "log.tsv")
    out = tmp_path / f"out.{kind}"
    command = ("recommend", str(tmp_path / "model"), "--sessions", path, "--out", str(out))
    assert run(*command, "-k", "4", "--exclude-seen") == 0
    printed = capsys.readouterr()
    n_lost = int((log.SessionId == 1003).sum())
    assert f"{n_lost} events of unknown items were passed over; 1 sessions hold no" in printed.err
    table = (
        pd.read_parquet(out)
        if kind == "parquet"
        else pd.read_csv(out, sep="\t" if kind == "tsv" else ",")
    )
    assert list(table.columns) == ["visit", "Rank", "sku", "Score"]
    assert list(table.visit.unique()) == sorted(known.SessionId.unique())
    for session, items in known.groupby("SessionId").ItemId:
        rows = table[table.visit == session]
        best = gru.recommend(items.tolist(), 4, exclude_seen=True)
        assert rows.Rank.tolist() == [1, 2, 3, 4]
        assert rows.sku.tolist() == best.sku.tolist()
        np.testing.assert_allclose(rows.Score, best.Score, rtol=1e-6)


def test_sessions_and_out_belong_together(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.csv")
    for arguments, message in (
        (("3", "--sessions", logs[0], "--out", out), "found both"),
        ((), "found neither"),
        (("--sessions", logs[0]), "belong together"),
        (("3", "--out", out), "belong together"),
        (("--sessions", logs[0], "--out", logs[0]), "is another file of this command"),
        (("--sessions", logs[0], "--out", "out.xls"), "unknown kind of file"),
    ):
        assert message in error_of(capsys, "recommend", "model", *arguments), message
