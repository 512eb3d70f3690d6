"""Trains by whatever `gru4rec_fast` is on the path; the other side of `benchmarks/against.py`.

Run as a script, with the tree of a commit in PYTHONPATH. Each line of standard input is a request
in JSON, answered by lines of JSON. It uses `GRU4Rec.fit` and `EpochReport` alone, which every
version has.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import gru4rec_fast
from gru4rec_fast import GRU4Rec, _core

if TYPE_CHECKING:
    from collections.abc import Callable


def fit(request: dict[str, Any], on_epoch: Callable[[Any], None] | None = None) -> GRU4Rec:
    torch.set_num_threads(request["threads"])
    _core.use_instruction_set(request.get("instruction_set") or _core.instruction_sets()[0])
    gru = GRU4Rec(**request["params"], device="cpu")
    return gru.fit(request["log"], progress=False, on_epoch=on_epoch)


def parameters(request: dict[str, Any]) -> None:
    """Answer with a checksum of each parameter after training."""
    tensors = fit(request).model.state_dict().items()
    answer({name: hashlib.sha256(t.numpy().tobytes()).hexdigest() for name, t in tensors})


def epochs(request: dict[str, Any]) -> None:
    """Answer with milliseconds a step after each epoch; start the next at the next line."""

    def on_epoch(report: Any) -> None:
        answer(1e3 * report.seconds / report.minibatches)
        sys.stdin.readline()

    fit(request, on_epoch)


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    tree = Path(os.environ["PYTHONPATH"])
    if tree not in Path(gru4rec_fast.__file__).parents:
        sys.exit(f"gru4rec_fast was imported from {gru4rec_fast.__file__}; expected {tree}")
    answer(_core.instruction_sets())
    for line in sys.stdin:
        order = json.loads(line)
        {"parameters": parameters, "epochs": epochs}[order["do"]](order)
