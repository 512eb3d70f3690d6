"""What an update with a day's sessions is worth, on real sessions: `make daily-update`.

For each day k and seed a model is trained on days 1..k. It is updated with day k + 1 in several
ways, and another is trained anew on days 1..k + 1. All are evaluated on day k + 2, where items that
a model does not know are misses. The differences are paired: session by session, each the mean over
the seeds, with a bootstrap over the sessions of all k. Times are processor time of one thread, so
other work on the machine does not change them.

Finished pairs of k and seed are kept in build/daily_update.json, and a second run goes on from
there. `--limit` ends a run after so many minutes; the table is then that of what is finished.
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

from gru4rec_fast import GRU4Rec, evaluate
from gru4rec_fast.evaluation.bootstrap import SessionSums
from gru4rec_fast.model.atomic_file import written_aside
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "serenade_bol" / "train.tsv.gz"
KEPT = ROOT / "build" / "daily_update.json"
DAY = 24 * 60 * 60
ANEW, NONE = "trained anew", "not updated"
RESAMPLES = 10_000

Sums = dict[str, Any]
"""Of one model on one day: seconds, and of each session its predictions, hits and reciprocals."""


def days_of(log: pd.DataFrame) -> NDArray[np.int64]:
    """The day of each event's session, counted from 1."""
    start = log.groupby("SessionId").Time.transform("min")
    days: NDArray[np.int64] = ((start - start.min()) // DAY).to_numpy(dtype=np.int64) + 1
    return days


def measured(gru: GRU4Rec, seconds: float, last: pd.DataFrame) -> Sums:
    """The figures of a model by session."""
    found = evaluate(gru, last, [20], unknown="miss", groups={}, lists=False, n_bootstrap=0)
    assert found.sums is not None
    return {
        "seconds": seconds,
        "counts": found.sums.counts.tolist(),
        "sums": found.sums.sums[:, :2].tolist(),  # recall, mrr
    }


def run(
    log: pd.DataFrame, k: int, params: dict[str, Any], new_items: str = "co-visited"
) -> dict[str, Sums]:
    """All ways of one k and seed."""
    day = days_of(log)
    first, new, both, last = log[day <= k], log[day == k + 1], log[day <= k + 1], log[day == k + 2]
    found: dict[str, Sums] = {}

    def timed(name: str, make: Callable[[], GRU4Rec]) -> GRU4Rec:
        started = time.process_time()
        gru = make()
        found[name] = measured(gru, time.process_time() - started, last)
        return gru

    def trained(on: pd.DataFrame) -> GRU4Rec:
        return GRU4Rec(**params, device="cpu").fit(on, compatibility_mode=False, progress=False)

    base = timed(NONE, lambda: trained(first))
    file = KEPT.with_name(f".daily-{k}-{params['seed']}.safetensors")
    base.savemodel(file, training_state=True)

    def updated(*passes: tuple[pd.DataFrame, int, dict[str, Any]]) -> Callable[[], GRU4Rec]:
        def make() -> GRU4Rec:
            gru = GRU4Rec.loadmodel(file, "cpu")
            for sessions, n_epochs, settings in passes:
                gru.partial_fit(sessions, n_epochs, progress=False, **settings)
            return gru

        return make

    replay = both, 1, {"support": "new"}
    ways = {
        "the day, 1 pass": updated((new, 1, {})),
        "the day, 3 passes": updated((new, 3, {})),
        f"the same, {new_items}": updated((new, 3, {"new_items": new_items})),
        "the same, support='new'": updated((new, 3, {"support": "new"})),
        "the day, 10 passes": updated((new, 10, {})),
        "the day, 3 passes, then all, 1": updated((new, 3, {}), replay),
    }
    for name, way in ways.items():
        timed(name, way)
    file.unlink()
    timed(ANEW, lambda: trained(both))
    found[NONE]["seconds"] = 0.0
    return found


def pooled(runs: dict[str, dict[str, Sums]], name: str) -> SessionSums:
    """The sums of a way: sessions of all k, each the mean over the seeds."""
    by_k: dict[str, list[Sums]] = {}
    for key, run_ in runs.items():
        by_k.setdefault(key.split()[0], []).append(run_[name])
    counts = [np.array(sums[0]["counts"]) for sums in by_k.values()]
    means = [np.mean([s["sums"] for s in sums], axis=0) for sums in by_k.values()]
    return SessionSums(np.concatenate(counts), np.concatenate(means))


def table(runs: dict[str, dict[str, Sums]]) -> str:
    """Each way beside training anew, in Markdown."""
    lines = [
        "| | time | recall@20 | difference | mrr@20 | difference |",
        "|---|---|---|---|---|---|",
    ]
    anew = pooled(runs, ANEW)
    names = list(next(iter(runs.values())))
    whole = sum(run_[ANEW]["seconds"] for run_ in runs.values())
    for name in names:
        own = pooled(runs, name)
        seconds = [run_[name]["seconds"] for run_ in runs.values()]
        cells = [f"{np.mean(seconds):.1f} s, {sum(seconds) / whole:.0%}"]
        difference = own.minus(anew)
        ends = difference.intervals(RESAMPLES, 0.95, 1)
        for column in (0, 1):
            cells.append(f"{own.means()[column]:.4f}")
            if name == ANEW or ends is None:
                cells.append("")
            else:
                low, high = ends[:, column]
                cells.append(f"{difference.means()[column]:+.4f} [{low:+.4f}, {high:+.4f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(
        f"{len(runs)} pairs of k and seed ({', '.join(runs)}); {int(anew.counts.sum())} "
        f"predictions in {len(anew.counts)} sessions; [low, high]: 95 % paired bootstrap over "
        "sessions"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="log with times in seconds")
    parser.add_argument("--k", type=int, nargs="+", default=[12, 20, 28], help="days trained on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--preset", choices=PRESETS, default="rsc15")
    parser.add_argument("--limit", type=float, default=15, help="minutes (default: 15)")
    options = parser.parse_args()
    if not options.data.is_file():
        raise SystemExit(f"no sessions at {options.data}: pass --data with a log of several days")
    torch.set_num_threads(1)
    log = pd.read_csv(options.data, sep="\t")
    last_day = int(days_of(log).max())
    if max(options.k) + 2 > last_day:
        raise SystemExit(
            f"--k {max(options.k)}: the log has {last_day} days; expected k + 2 of them"
        )
    started = time.monotonic()
    KEPT.parent.mkdir(exist_ok=True)
    setting = f"{options.data.resolve()} {options.preset}"
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    done: dict[str, dict[str, Sums]] = kept.setdefault(setting, {})
    wanted = [(k, seed) for seed in options.seeds for k in options.k]
    for k, seed in wanted:
        key = f"{k} {seed}"
        if key in done:
            continue
        if time.monotonic() - started > 60 * options.limit:
            print(f"the limit of {options.limit:g} minutes is reached: run it again to go on\n")
            break
        done[key] = run(log, k, PRESETS[options.preset] | {"seed": seed})
        with written_aside(KEPT) as aside:
            aside.write_text(json.dumps(kept))
        print(f"k = {k}, seed {seed}: done after {time.monotonic() - started:.0f} s", flush=True)
    runs = {f"{k} {seed}": done[f"{k} {seed}"] for k, seed in wanted if f"{k} {seed}" in done}
    print(f"\n{options.preset}\n\n{table(runs)}")


if __name__ == "__main__":
    main()
