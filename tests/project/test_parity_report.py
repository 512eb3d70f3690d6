"""`benchmarks/parity_report.py` with a stand-in: our reference behind the original's interface."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.data.synthetic import generate

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import gru4rec_fast


class GRU4Rec:
    '''The interface of SPEC section 10, computed by the reference.'''

    def __init__(self, layers=[100], device=None, **params):
        self.layers, self.device = layers, device
        self._gru = gru4rec_fast.GRU4Rec(layers=layers, device=device, engine="reference", **params)

    def fit(self, data, item_key="ItemId", session_key="SessionId", time_key="Time"):
        data.sort_values([session_key, time_key], inplace=True)  # as the original does
        print("training")
        self._gru.fit(data, progress=False)
        self.data_iterator, self.model = self._gru.data_iterator, self._gru.model
"""
EVALUATION = """
import gru4rec_fast


def batch_eval(gru, test_data, cutoff=[20], batch_size=512, mode="conservative"):
    return gru4rec_fast.batch_eval(gru, test_data, cutoff, batch_size, mode)
"""
SMALL = ("--epochs", "1", "--set", "layers=[8]", "batch_size=8", "n_sample=16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two logs, and a folder that stands in for the authors'."""
    folder = tmp_path_factory.mktemp("parity")
    for log, name in zip(
        hold_out_latest(generate(120, 40, single_share=0).log), ("train", "test"), strict=True
    ):
        log.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    original = folder / "original"
    original.mkdir()
    (original / "gru4rec_pytorch.py").write_text(MODULE, encoding="utf-8")
    (original / "evaluation.py").write_text(EVALUATION, encoding="utf-8")
    return folder


def report(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    paths = (folder / "original", folder / "train.tsv", folder / "test.tsv")
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.parity_report", *map(str, paths), *SMALL, *more],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_both_are_trained_and_evaluated_by_both(folder: Path) -> None:
    done = report(folder, "--seeds", "1", "2", "--rounds", "2", "--out", str(folder / "out"))
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "out" / "parity.json").read_text(encoding="utf-8"))
    runs = found["runs"]
    order = [run["by"] for run in runs]
    assert order == ["authors", "ours", "ours", "authors"] * 2
    assert {(run["seed"], run["round"]) for run in runs} == {(1, 0), (2, 0), (1, 1), (2, 1)}
    for run in runs:
        assert run["their_recall"] == run["recall"]
        assert run["their_mrr"] == run["mrr"]
        assert run["seconds"] > 0
    for seed in (1, 2):
        of_seed = {(run["by"], run["recall"]["20"]) for run in runs if run["seed"] == seed}
        assert {by for by, _ in of_seed} == {"authors", "ours"}
        assert sum(by == "ours" for by, _ in of_seed) == 1, "a round repeats the same training"
    page = (folder / "out" / "parity.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| train.tsv")]
    assert len(rows) == 2
    assert len(re.findall(r"0\.\d{4} ± 0\.\d{4} / 0\.\d{4} ± 0\.\d{4}", rows[0])) == 2
    for fact in ("commit", "threads: 1", "torch", "NumPy", "layers=[8]", "n_epochs=1"):
        assert fact in page


@pytest.mark.slow
def test_the_original_needs_no_evaluation_but_its_module(folder: Path) -> None:
    (folder / "original" / "other.py").write_text(MODULE, encoding="utf-8")
    names = ("--module", "other", "--evaluation-module", "absent")
    done = report(folder, *names, "--out", str(folder / "other"))
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "other" / "parity.json").read_text(encoding="utf-8"))
    assert not found["batch_eval"]
    assert all("their_recall" not in run for run in found["runs"])
    done = report(folder, "--module", "absent")
    assert done.returncode == 1
    assert "has no module 'absent'; it has evaluation, gru4rec_pytorch" in done.stderr
    assert "--module" in done.stderr
    assert "Traceback" not in done.stderr


def test_paths_that_do_not_exist_are_named(folder: Path) -> None:
    missing = folder / "missing.tsv"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.parity_report", str(folder), str(missing), str(missing)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"no such file: {missing}" in done.stderr
