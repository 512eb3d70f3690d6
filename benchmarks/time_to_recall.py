"""Time and epochs to the recall of ten published epochs, on real sessions: `make time-to-recall`.

The published settings of a data set train ten epochs. What recall@20 they reach, as the mean over
the seeds, is the goal. Then other settings train, and the first epoch counts whose mean recall is
at least the goal. Models train on all days but the last three and are evaluated on these. Settings
are to be searched with `--search`, which leaves these days out and evaluates on the three before.

Times are processor time of one thread, without evaluations. Finished trainings are kept in
build/time_to_recall.json; `--limit` ends a run after so many minutes, and a second one goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from benchmarks.daily_update import DATA, ROOT, days_of
from gru4rec_fast import GRU4Rec, evaluate
from gru4rec_fast.model.atomic_file import written_aside
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from gru4rec_fast.training.report import EpochReport

KEPT = ROOT / "build" / "time_to_recall.json"
DAYS = 3
PUBLISHED = "published"
FALLING: dict[str, Any] = {"lr_schedule": "linear", "lr_warmup": 0.1}
LESS: dict[str, Any] = {"dropout_p_hidden": 0.2}
SETTINGS: dict[str, dict[str, Any]] = {
    PUBLISHED: {},
    "linear fall in 5 epochs": {"n_epochs": 5, **FALLING},
    "linear fall in 3 epochs": {"n_epochs": 3, **FALLING},
    "512 negatives": {"n_sample": 512},
    "512 negatives, linear fall in 5 epochs": {"n_sample": 512, "n_epochs": 5, **FALLING},
    "512 negatives, linear fall in 8 epochs": {"n_sample": 512, "n_epochs": 8, **FALLING},
    "dropout 0.2, linear fall in 3 epochs": {"n_epochs": 3, **LESS, **FALLING},
    "dropout 0.2, linear fall in 4 epochs": {"n_epochs": 4, **LESS, **FALLING},
    "512 negatives, dropout 0.2, linear fall in 3 epochs": {
        "n_sample": 512, "n_epochs": 3, **LESS, **FALLING
    },
    "512 negatives, dropout 0.2, linear fall in 4 epochs": {
        "n_sample": 512, "n_epochs": 4, **LESS, **FALLING
    },
    "512 negatives, dropout 0.2, linear fall in 5 epochs": {
        "n_sample": 512, "n_epochs": 5, **LESS, **FALLING
    },
}  # fmt: skip
"""What is changed of the published settings."""
FOUND = ["linear fall in 5 epochs", "512 negatives", "512 negatives, linear fall in 8 epochs"]
"""What is measured beside the published settings by default: the best found, and its parts."""

Course = list[tuple[float, float]]
"""After each epoch: processor seconds of training so far, and recall@20."""


def course(params: dict[str, Any], train: pd.DataFrame, test: pd.DataFrame) -> Course:
    found: Course = []
    seconds, started = 0.0, time.process_time()

    def on_epoch(_: EpochReport) -> None:
        nonlocal seconds, started
        seconds += time.process_time() - started
        result = evaluate(gru, test, [20], unknown="miss", groups={}, lists=False, n_bootstrap=0)
        found.append((seconds, result.values["recall"][20]))
        started = time.process_time()

    gru = GRU4Rec(**params, device="cpu")
    gru.fit(train, compatibility_mode=False, on_epoch=on_epoch, progress=False)
    return found


def table(courses: dict[str, list[Course]]) -> str:
    """A row for each setting; the courses of all seeds."""
    means = {name: np.mean(each, axis=0) for name, each in courses.items()}
    goal = means[PUBLISHED][-1, 1]
    lines = [
        f"The goal is recall@20 {goal:.4f}, of {len(means[PUBLISHED])} published epochs.",
        "",
        "| settings | seeds | epochs | time | of the published time | best recall@20 (epoch) |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    whole = means[PUBLISHED][-1, 0]
    for name, mean in means.items():
        reached = np.flatnonzero(mean[:, 1] >= goal)
        best = int(mean[:, 1].argmax())
        cells = ["never", "", ""]
        if len(reached):
            epoch = int(reached[0])
            seconds = mean[epoch, 0]
            cells = [str(epoch + 1), f"{seconds:.1f} s", f"{seconds / whole:.0%}"]
        row = " | ".join(cells)
        lines.append(
            f"| {name} | {len(courses[name])} | {row} | {mean[best, 1]:.4f} ({best + 1}) |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="log with times in seconds")
    parser.add_argument("--preset", choices=PRESETS, default="rsc15")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=FOUND)
    parser.add_argument("--search", action="store_true", help="leave the last three days out")
    parser.add_argument("--limit", type=float, default=15, help="minutes (default: 15)")
    options = parser.parse_args()
    if not options.data.is_file():
        raise SystemExit(f"no sessions at {options.data}: pass --data with a log of several days")
    torch.set_num_threads(1)
    log = pd.read_csv(options.data, sep="\t")
    day = days_of(log)
    end = int(day.max()) - (DAYS if options.search else 0)
    train, test = log[day <= end - DAYS], log[(day > end - DAYS) & (day <= end)]
    course(PRESETS[options.preset] | {"n_epochs": 1}, train[:2000], test[:200])  # loads libraries
    started = time.monotonic()
    KEPT.parent.mkdir(exist_ok=True)
    kept: dict[str, Course] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    courses: dict[str, list[Course]] = {}
    names = [PUBLISHED, *(name for name in options.settings if name != PUBLISHED)]
    for seed in options.seeds:
        for name in names:
            params = PRESETS[options.preset] | {"seed": seed} | SETTINGS[name]
            key = json.dumps([str(options.data.resolve()), end, params])
            if key not in kept:
                if courses and time.monotonic() - started > 60 * options.limit:
                    continue
                kept[key] = course(params, train, test)
                with written_aside(KEPT) as aside:
                    aside.write_text(json.dumps(kept))
            courses.setdefault(name, []).append(kept[key])
    print(
        f"{options.preset}, trained on days 1..{end - DAYS}, evaluated on {end - DAYS + 1}..{end}\n"
    )
    print(table(courses))


if __name__ == "__main__":
    main()
