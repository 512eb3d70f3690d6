"""Trains and evaluates for `experiment.py`, in a process of one thread.

Run as a script. The first line of standard input lists the data sets, each further line is a run;
all are JSON, and each run is answered by one line of JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.experiment_data import Logs, Source, load
from gru4rec_fast import GRU4Rec
from gru4rec_fast.baselines import BASELINES
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from gru4rec_fast.evaluation.result import Evaluation


class Worker:
    """The data sets of an experiment, loaded when they are first used."""

    def __init__(self, sources: list[dict[str, Any]]) -> None:
        self._sources = {source["name"]: Source(**source) for source in sources}
        self.logs = cache(self._load)

    def _load(self, name: str) -> Logs:
        return load(self._sources[name])

    def answer(self, run: dict[str, Any]) -> dict[str, Any]:
        """Train, evaluate, and give the figures and the training's seconds of processor time."""
        logs = self.logs(run["data"])
        engine, failed = "", False
        start = time.process_time()
        if run["model"] == "gru4rec":
            gru = GRU4Rec(**run["params"], seed=run["seed"], device="cpu")
            gru.fit(logs.train, compatibility_mode=False, progress=False)
            model: Any = gru
            engine, failed = str(gru.engine_), gru.error_during_train
        else:
            model = BASELINES[run["model"]]().fit(logs.train)
        seconds = time.process_time() - start
        answer = {
            "engine": engine,
            "seconds": round(seconds, 3),
            "valid_recall": None,
            "recall": None,
            "mrr": None,
            "best": logs.best,
            "train_events": len(logs.train),
            "train_sessions": int(logs.train["SessionId"].nunique()),
            "items": int(logs.train["ItemId"].nunique()),
        }
        if failed:
            return answer
        try:
            valid = evaluate(model, logs.valid, [20], lists=False, groups={}, n_bootstrap=0)
            found = evaluate(model, logs.test, [20], lists=False, groups={}, n_bootstrap=0)
        except ArithmeticError:  # the last updates made a weight infinite
            return answer
        return answer | {
            "valid_recall": valid.recall[20],
            "recall": found.recall[20],
            "mrr": found.mrr[20],
            "predictions": found.n_predictions,
            "by_session": by_session(found),
        }


def by_session(found: Evaluation) -> dict[str, list[float]]:
    """Predictions of each test session, and the sums over them of recall@20 and mrr@20."""
    assert found.sums is not None
    columns = {"predictions": found.sums.counts}
    columns |= {name: found.sums.sums[:, METRICS.index(name)] for name in ("recall", "mrr")}
    return {name: np.round(column, 4).tolist() for name, column in columns.items()}


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("gru4rec_fast").setLevel(logging.CRITICAL)  # the record has the engine
    worker = Worker(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
