"""Ranks and best items over item tables in shards, exactly as over whole tables.

All ranks evaluate the same sessions together. Each ranks its own items: counts are added up, and of
the best items of each rank the best remain, equal ones by ascending index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast import reference
from gru4rec_fast.engines import choice
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.shards import Shards
    from gru4rec_fast.engines.contract import Ranker

ROWS = 256
"""Rows that are ranked together; as many targets are fetched."""


class ShardedScorer:
    """The `evaluation.Scorer` of a model in shards; every method is for all ranks at once.

    Args:
        shards: the model.
        config: its options.
        engine: the name of the engine, 'cpu' or 'reference'.
    """

    rows_per_block = 4096

    def __init__(self, shards: Shards, config: Config, engine: str) -> None:
        self._shards, self._ranks = shards, shards.ranks
        self._config, self._engine = config, engine
        w, b = shards.p["Wy.weight"], shards.p["By.weight"]
        # Room for the targets' rows behind this rank's items, so that a target that another rank
        # owns is scored by the same operations as the items that it is compared with.
        self._own = len(w)
        self._w, self._b = (torch.cat([x, x.new_zeros(ROWS, x.shape[1])]) for x in (w, b))
        self.n_items = shards.spec.n_items
        self.device = w.device

    def start(self, lanes: int) -> list[Tensor]:
        """Zero states (lanes, states * H_l) of every layer."""
        layers = self._shards.spec.layers
        return [self._b.new_zeros(lanes, layer.state_width) for layer in layers]

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns the features (M, F)."""
        shards, m = self._shards, len(inputs)
        spec = NetworkSpec.of(self._config, m)
        p = {name: x for name, x in shards.p.items() if name not in spec.tables}
        p |= {name: shards.p[name].new_zeros(shape) for name, shape in spec.tables.items()}
        p[spec.input_table] = self._rows(spec.input_table, inputs)
        carried = [reference.carry(h, source, restarts) for h in state]
        forward = choice.forward(self._engine, spec, p)
        state[:], features = forward.advance(torch.arange(m), carried)
        return features

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target, and items scored equal, the target included.

        Features (R, F) and targets (R,); both counts are (R,).
        """
        parts = zip(torch.split(features, ROWS), torch.split(targets, ROWS), strict=True)
        counts = [self._chunk_counts(*part) for part in parts]
        greater, equal = (torch.cat(count) for count in zip(*counts, strict=True))
        return greater, equal

    def _chunk_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        n = len(targets)
        end = self._own + n
        self._w[self._own : end] = self._rows("Wy.weight", targets)
        self._b[self._own : end] = self._rows("By.weight", targets)
        place = torch.arange(n)
        with_targets = self._ranker(0, end).rank_counts(features, self._own + place)
        targets_alone = self._ranker(self._own, end).rank_counts(features, place)
        own = torch.stack(with_targets) - torch.stack(targets_alone)
        greater, equal = self._ranks.sum(own).unbind()
        return greater, equal

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)) of the best items, best first."""
        k = min(k, self.n_items)
        scores = features.new_full((len(features), k), -torch.inf)
        items = torch.full((len(features), k), self.n_items)
        n = min(k, self._own)
        if n:
            scores[:, :n], own = self._ranker(0, self._own).top_k(features, n)
            items[:, :n] = own * self._ranks.size + self._ranks.rank
        scores = torch.cat(self._ranks.all_gather(scores).unbind(), dim=1)
        items = torch.cat(self._ranks.all_gather(items).unbind(), dim=1)
        order = torch.argsort(items, dim=1)
        scores, items = scores.gather(1, order), items.gather(1, order)
        best = torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :k]
        return scores.gather(1, best), items.gather(1, best)

    def _ranker(self, first: int, end: int) -> Ranker:
        return choice.ranker(self._engine, self._w[first:end], self._b[first:end], bounds=False)

    def _rows(self, table: str, items: Tensor) -> Tensor:
        """Rows (n, columns) of any items, from their owners."""
        ranks, shard = self._ranks, self._shards.p[table]
        rows = shard.new_zeros(len(items), shard.shape[1])
        own = items % ranks.size == ranks.rank
        rows[own] = shard[items[own] // ranks.size]
        # As integers, so that adding the other ranks' zeros changes no bit.
        integers = rows.view(_SAME_SIZE[rows.dtype])
        total = ranks.sum(integers.to(max(integers.dtype, torch.int32, key=lambda d: d.itemsize)))
        return total.to(integers.dtype).view(rows.dtype)


_SAME_SIZE = {
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
