"""Models to evaluate that need no training."""

# ruff: noqa: ARG002 - the methods take what every scorer is given

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.model.network import Network

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.evaluation.scorer import Scorer


def initialised(log: pd.DataFrame, **params: Any) -> GRU4Rec:
    """A GRU4Rec that knows the items of a log, with initial weights and random biases."""
    gru = GRU4Rec(**{"layers": (16, 12)} | params, device="cpu")
    items = load_sessions(log).itemidmap
    network = Network(gru.config, len(items))
    network.initialise(compatibility_mode=False)
    torch.manual_seed(1)
    network.By.weight.normal_(0, 0.1)
    gru._network, gru._data_iterator = network.eval(), DataIterator(items)
    return gru


class Table:
    """A model, and its own scorer, whose scores depend on the last item alone: a (V, V) table."""

    rows_per_block = 64
    device = torch.device("cpu")

    def __init__(self, items: pd.Series[int], scores: NDArray[np.floating]) -> None:
        self.data_iterator = DataIterator(items)
        self.scores = torch.from_numpy(scores)

    def scorer(self) -> Scorer:
        return self

    def start(self, lanes: int) -> None:
        return None

    def step(self, state: None, inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        return self.scores[inputs]

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        own = features[torch.arange(len(targets)), targets][:, None]
        return (features > own).sum(dim=1), (features == own).sum(dim=1)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        best = torch.sort(features, dim=1, descending=True, stable=True)
        return best.values[:, :k], best.indices[:, :k]
