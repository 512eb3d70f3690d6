"""Trains and evaluates one implementation of GRU4Rec; the other side of `parity_report.py`.

Run as a script. The first line of standard input says which implementation, the further lines ask
for trainings; each is a JSON object and is answered by one line of JSON. Another implementation is
called through the interface of SPEC section 10 alone: `GRU4Rec(**params, device=...)`, `fit(data)`,
`batch_eval(gru, test)`, and in our evaluation `model.forward`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import random
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.data.files import read_log
from gru4rec_fast.evaluation.evaluate import evaluate

KEYS = {"item_key": "ItemId", "session_key": "SessionId", "time_key": "Time"}


class NotFoundError(Exception):
    """The folder lacks what is to be imported."""


class Worker:
    """One implementation, its evaluation if there is one, and the two logs."""

    def __init__(self, request: dict[str, Any]) -> None:
        torch.set_num_threads(request["threads"])
        self.ours = request["module"] == "gru4rec_fast"
        folder = Path(request["folder"])
        # Last, so that a file of the folder hides no library.
        sys.path.append(str(folder))
        self.gru4rec = attribute(folder, request["module"], "GRU4Rec")
        try:
            self.batch_eval = attribute(folder, request["evaluation"], "batch_eval")
        except NotFoundError:
            self.batch_eval = None
        self.train, self.test = (
            read_log(Path(request[name]), KEYS, None, text_items=False)[0].to_pandas()
            for name in ("train", "test")
        )

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train once and evaluate; figures by cut-off, and seconds of wall-clock time."""
        params, seed, cutoffs = request["params"], request["seed"], request["cutoffs"]
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - other code may draw from it
        torch.manual_seed(seed)
        more = {"seed": seed} if self.ours else {}
        gru = self.gru4rec(**params, **more, device=torch.device("cpu"))
        log = self.train.copy()  # fit may change it
        start = time.perf_counter()
        gru.fit(log)
        seconds = time.perf_counter() - start
        if getattr(gru, "error_during_train", False):
            raise ArithmeticError("training ended early: its loss was not finite")
        start = time.perf_counter()
        ours = evaluate(
            gru, self.test, cutoffs, mode=request["mode"], lists=False, groups={}, n_bootstrap=0
        )
        evaluation_seconds = time.perf_counter() - start
        found = {
            "seconds": seconds,
            "evaluation_seconds": evaluation_seconds,
            "predictions": ours.n_predictions,
            "recall": ours.recall,
            "mrr": ours.mrr,
        }
        if self.batch_eval is not None:
            recall, mrr = self.batch_eval(
                gru, self.test.copy(), cutoff=cutoffs, batch_size=512, mode=request["mode"]
            )
            found |= {"their_recall": plain(recall), "their_mrr": plain(mrr)}
        return found


def attribute(folder: Path, module: str, name: str) -> Any:
    """An attribute of a module that the folder holds.

    Raises:
        NotFoundError: no such module, or it has no such attribute.
    """
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise NotFoundError(
            f"{folder} has no module {module!r}; it has "
            f"{', '.join(sorted(path.stem for path in folder.glob('*.py'))) or 'no *.py file'}"
        ) from error
    if not hasattr(found, name):
        raise NotFoundError(f"module {module!r} ({found.__file__}) has no {name}")
    return getattr(found, name)


def plain(by_cutoff: Any) -> dict[int, float]:
    """Figures as JSON takes them."""
    return {int(k): float(value) for k, value in dict(by_cutoff).items()}


def main() -> None:
    warnings.simplefilter("ignore")
    answers = sys.stdout
    worker = None
    with contextlib.redirect_stdout(sys.stderr):  # whatever implementations print
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if worker is None:
                    worker = Worker(request)
                    answer: dict[str, Any] = {
                        "batch_eval": worker.batch_eval is not None,
                        "numpy": np.__version__,
                        "pandas": pd.__version__,
                    }
                else:
                    answer = worker.answer(request)
            except Exception as error:
                missing = isinstance(error, NotFoundError)
                answer = {
                    "error": str(error) if missing else f"{type(error).__name__}: {error}",
                    "missing": missing,
                    "traceback": traceback.format_exc(),
                }
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
