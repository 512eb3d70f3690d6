"""What an update with the day's sessions is worth, on real sessions: `make daily-update`.

A model is trained on all days but the last two. The day before the last is the update; all models
are evaluated on the last day: not updated, updated (by both supports), and trained anew on
everything before the last day.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gru4rec_fast import GRU4Rec, evaluate
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "serenade_bol" / "train.tsv.gz"
DAY = 24 * 60 * 60


def by_day(log: pd.DataFrame, days: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The sessions of the last `days` before the last two, those of the next day, of the last."""
    start = log.groupby("SessionId").Time.transform("min")
    day = ((start - start.min()) // DAY).astype(int)
    last = int(day.max())
    first = log[(day >= last - 1 - days) & (day < last - 1)]
    return first, log[day == last - 1], log[day == last]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="log with times in seconds")
    parser.add_argument("--days", type=int, default=10**6, help="days before the last two")
    parser.add_argument("--preset", choices=PRESETS, default="rsc15")
    parser.add_argument("--epochs", type=int, default=10, help="of the first training")
    parser.add_argument("--update-epochs", type=int, default=3)
    options = parser.parse_args()
    if not options.data.is_file():
        raise SystemExit(f"no sessions at {options.data}: pass --data with a log of several days")
    first, day, last = by_day(pd.read_csv(options.data, sep="\t"), options.days)
    params: dict[str, Any] = PRESETS[options.preset] | {"n_epochs": options.epochs}

    def trained(log: pd.DataFrame) -> GRU4Rec:
        return GRU4Rec(**params).fit(log, progress=False)

    def updated(support: str) -> GRU4Rec:
        gru = trained(first)
        started[0] = time.perf_counter()
        return gru.partial_fit(day, options.update_epochs, support=support, progress=False)

    started = [0.0]
    ways: dict[str, Callable[[], GRU4Rec]] = {
        "not updated": lambda: trained(first),
        "updated, support both": lambda: updated("both"),
        "updated, support new": lambda: updated("new"),
        "trained anew": lambda: trained(pd.concat([first, day])),
    }
    print(
        f"{len(first)} events, then {len(day)}, evaluated on {len(last)}; unknown items are misses"
    )
    print(f"{'':24}{'seconds':>9}{'recall@20':>11}{'mrr@20':>9}")
    for name, make in ways.items():
        started[0] = time.perf_counter()
        gru = make()
        seconds = time.perf_counter() - started[0]
        found = evaluate(gru, last, [20], unknown="miss", groups={}, lists=False, n_bootstrap=0)
        recall, mrr = found.values["recall"][20], found.values["mrr"][20]
        print(f"{name:24}{seconds:9.1f}{recall:11.4f}{mrr:9.4f}", flush=True)


if __name__ == "__main__":
    main()
