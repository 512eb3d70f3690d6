"""`benchmarks/experiment.py`: the plan, the page from records, and small experiments as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.experiment import load_records
from benchmarks.experiment_claims import (
    CLAIMS,
    FAILS,
    HOLDS,
    UNDECIDED,
    UNMEASURED,
    not_needed,
)
from benchmarks.experiment_data import file_of, load, real
from benchmarks.experiment_page import page
from benchmarks.experiment_plan import BASELINES, FACTORS, Records, Run, Study
from benchmarks.experiment_results import Mean, Results, sessions_half

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
STUDY = Study(data=("shop",), epochs=2, n_sample=8, units=(50, 100, 200), seeds=4)


def answer(run: Run, recall: float | None) -> dict[str, Any]:
    return {
        "run": asdict(run), "commit": "abc1234", "engine": "cpu", "seconds": 2.0,
        "valid_recall": recall, "recall": recall, "mrr": recall and recall / 2,
        "best": None, "train_events": 1000, "train_sessions": 200, "items": 50,
        "predictions": 300, "by_session": {
            "predictions": [5.0] * 60, "recall": [5 * (recall or 0)] * 60, "mrr": [1.0] * 60,
        },
    }  # fmt: skip


def complete(study: Study, recall: Callable[[Run], float | None]) -> Records:
    """The records of all runs of a study, in the order in which they are made."""
    records: Records = {}
    while run := next((run for run in study.runs(records) if run.key not in records), None):
        records[run.key] = answer(run, recall(run))
    return records


def usual(run: Run) -> float:
    """0.5, varied a little by the seed; the rate of 0.05 is the best."""
    rate = float(run.params.get("learning_rate", 0.05))
    return 0.5 + 0.001 * run.seed - abs(rate - 0.05)


def verdict(title: str, recall: Callable[[Run], float | None]) -> str:
    claim = next(claim for claim in CLAIMS if title in claim.title)
    return claim.judge(Results(STUDY, complete(STUDY, recall)), "shop").verdict


def test_the_most_important_runs_come_first() -> None:
    runs = [Run(**record["run"]) for record in complete(STUDY, usual).values()]
    assert [run.model for run in runs[: len(BASELINES)]] == list(BASELINES)
    assert {run.model for run in runs[len(BASELINES) :]} == {"gru4rec"}
    more = next(i for i, run in enumerate(runs) if run.seed == 4)
    results = Results(STUDY, {run.key: answer(run, usual(run)) for run in runs[:more]})
    for factor in FACTORS:
        for level, params in STUDY.levels(factor).items():
            assert len(results.found("shop", params)) == 3, level
    for units in STUDY.units:
        assert len(results.found("shop", STUDY.cell_of_grid("bpr", units))) == 3


def test_the_learning_rate_is_chosen_on_the_validation_log() -> None:
    lstm = STUDY.levels("cell")["LSTM"]
    assert STUDY.rate("shop", lstm, {}) is None
    assert STUDY.tests("shop", lstm, range(1, 3), {}) == []
    records: Records = {}
    for run, valid in zip(STUDY.tuning("shop", lstm), (0.1, 0.3, None), strict=True):
        records[run.key] = answer(run, 0.9) | {"valid_recall": valid}
    assert STUDY.rate("shop", lstm, records) == 0.05
    runs = STUDY.tests("shop", lstm, range(2), records)
    assert [run.params["learning_rate"] for run in runs] == [0.05, 0.05]
    # More hidden units take the rate of the loss at the base's number.
    assert STUDY.tuning("shop", STUDY.cell_of_grid("bpr", 200)) == STUDY.tuning(
        "shop", STUDY.cell_of_grid("bpr", 100)
    )


def test_a_claim_flips_when_the_figures_flip() -> None:
    def cells(other: float) -> Callable[[Run], float]:
        return lambda run: usual(run) + (other if run.params.get("cell") else 0.0)

    title = "GRU units do better"
    assert verdict(title, cells(-0.02)) == HOLDS
    assert verdict(title, cells(+0.02)) == FAILS
    noise = {1: -0.02, 2: 0.02, 3: -0.01, 4: 0.015}
    assert (
        verdict(title, lambda run: usual(run) + (noise[run.seed] if run.params.get("cell") else 0))
        == UNDECIDED
    )

    def over_knn(gain: float) -> Callable[[Run], float]:
        return lambda run: 0.5 if run.model == "item-knn" else 0.5 * gain + 0.0001 * run.seed

    assert verdict("Item-KNN", over_knn(1.2)) == HOLDS
    assert verdict("Item-KNN", over_knn(1.1)) == FAILS

    def by_units(change: float) -> Callable[[Run], float]:
        return lambda run: usual(run) + change * (run.params.get("layers", [100])[0] == 200)

    assert verdict("Cross-entropy loses", by_units(-0.03)) == HOLDS
    assert verdict("Cross-entropy loses", by_units(0.03)) == FAILS
    assert verdict("Pairwise losses gain", by_units(0.03)) == HOLDS
    assert verdict("Pairwise losses gain", by_units(-0.03)) == FAILS


def test_what_adds_less_than_a_point_is_not_needed() -> None:
    assert not_needed(Mean(0.0, -0.005, 0.005, 3)) == HOLDS
    assert not_needed(Mean(0.02, 0.005, 0.035, 3)) == FAILS
    assert not_needed(Mean(0.005, -0.01, 0.02, 3)) == UNDECIDED
    assert not_needed(None) == UNMEASURED


def test_a_difference_that_few_sessions_make_is_undecided() -> None:
    records = complete(STUDY, lambda run: usual(run) - 0.02 * (run.params.get("cell") is not None))
    claim = CLAIMS[0]
    assert claim.judge(Results(STUDY, records), "shop").verdict == HOLDS
    for record in records.values():
        if record["run"]["params"].get("cell"):
            loss = [-0.02 * 300] + [0.0] * 59
            record["by_session"]["recall"] = [5 * (record["recall"] + 0.02) + x for x in loss]
    assert claim.judge(Results(STUDY, records), "shop").verdict == UNDECIDED


def test_the_interval_over_sessions_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, 400).astype(float)
    hits = rng.binomial(counts.astype(int), 0.6).astype(float)
    drawn = rng.integers(400, size=(4000, 400))
    ratios = hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert sessions_half(hits, counts) == pytest.approx((high - low) / 2, rel=0.05)


def test_the_page_follows_from_the_records() -> None:
    def recall(run: Run) -> float | None:
        return None if run.params.get("cell") == "rnn" and run.seed == 2 else usual(run)

    lines = page(Results(STUDY, complete(STUDY, recall)), "figure.png")
    text = "\n".join(lines)
    # Seeds 1 to 4 give 0.501 to 0.504: their mean, and t(3) * s / 2 = 3.1824 * 0.00129099 / 2.
    assert "| shop | LSTM | 0.05 | 4 | 0.5025 ± 0.0021 | 0.2513 ± 0.0010 | 2.0 | cpu |" in lines
    assert "| shop | RNN | 0.05 | 4, 1 diverged |" in text
    assert "| shop | item-knn | 0.5010 | 0.2505 | 2.0 |" in lines
    assert "abc1234" in text
    assert "Every level has at least 3 seeds." in text
    for line in lines:
        assert len(line) <= 100 or line.startswith("|"), line
    for claim in CLAIMS:
        assert f"### {claim.title}" in lines


def test_what_the_time_did_not_allow_is_named() -> None:
    records = complete(STUDY, usual)
    few = dict(list(records.items())[: len(records) // 2])
    text = " ".join(page(Results(STUDY, few), "figure.png"))
    assert "The time did not allow 3 seeds for:" in text
    assert "shop, top1-max, H = 200 (0)" in text
    assert UNMEASURED in text
    assert " 0 trainings" in " ".join(page(Results(STUDY, {}), "figure.png"))


def test_a_torn_last_line_is_removed(tmp_path: Path) -> None:
    run = Run("shop", "pop", {}, 1)
    path = tmp_path / "records.jsonl"
    line = json.dumps(answer(run, 0.5)) + "\n"
    path.write_text(line + line[:40], encoding="utf-8")
    assert list(load_records(path)) == [run.key]
    assert path.read_text(encoding="utf-8") == line
    assert load_records(tmp_path / "none.jsonl") == {}


def write_logs(folder: Path) -> None:
    rng = np.random.default_rng(3)
    for place, (part, n) in enumerate({"train": 60, "valid": 15, "test": 15}.items()):
        rows = [
            f"{place * 100 + s},{int(i)},{1000 * (100 * place + s) + t}"
            for s in range(n)
            for t, i in enumerate(rng.integers(0, 12, 4))
        ]
        text = "\n".join(["SessionId,ItemId,Time", *rows, ""])
        (folder / f"{part}.csv").write_text(text, encoding="utf-8")


def test_real_sessions_are_three_files_of_a_folder(tmp_path: Path) -> None:
    write_logs(tmp_path)
    logs = load(real(tmp_path))
    assert [len(log) for log in (logs.train, logs.valid, logs.test)] == [240, 60, 60]
    assert logs.best is None
    (tmp_path / "test.tsv").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit, match="2 logs named test"):
        file_of(tmp_path, "test")
    with pytest.raises(SystemExit, match="0 logs named train"):
        real(tmp_path / "absent")


def command(folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "benchmarks.experiment", "--sessions", "100", "--items", "30",
        "--epochs", "1", "--n-sample", "8", "--units", "4", "--seeds", "1", "--minutes", "9",
        "--records", str(folder / "records.jsonl"), "--page", str(folder / "EXPERIMENTS.md"),
        "--factors", "cell", "--data", str(folder / "shop"), *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_experiment_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    write_logs(tmp_path / "shop")
    records = tmp_path / "records.jsonl"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command(tmp_path), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as first:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and first.poll() is None:
            if records.exists() and records.read_bytes().count(b"\n") >= 2:
                break
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
    before = records.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    assert not (tmp_path / "EXPERIMENTS.md").exists()
    with records.open("ab") as file:
        file.write(b'{"run": {"data"')

    done = subprocess.run(
        command(tmp_path), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = records.read_bytes()
    assert after.startswith(before)
    lines = [json.loads(line) for line in after.splitlines()]
    keys = [Run(**line["run"]).key for line in lines]
    assert len(set(keys)) == len(keys)
    assert {line["run"]["data"] for line in lines} == {"shop", "generated 100/30"}
    study = Study(("generated 100/30", "shop"), 1, 8, (4,), 1, ("cell",))
    found = load_records(records)
    assert all(run.key in found for run in study.runs(found))
    text = (tmp_path / "EXPERIMENTS.md").read_text(encoding="utf-8")
    assert "best reachable" in text
    assert "| shop | LSTM |" in text
    assert (tmp_path / "experiments.png").stat().st_size > 1000

    again = subprocess.run(
        command(tmp_path, "--page-only"), cwd=ROOT, env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    assert again.stdout
    assert records.read_bytes() == after
    assert (tmp_path / "EXPERIMENTS.md").read_text(encoding="utf-8") == text
