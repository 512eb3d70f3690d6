"""Ranks and best items over the whole catalogue (SPEC section 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gru4rec_fast.reference.network import scores

ScoreTile = Callable[[Tensor, Tensor], Tensor]
"""Scores (R, n) of the n items that an int64 tensor names, from features (R, F)."""


def item_scores(w: Tensor, b: Tensor) -> ScoreTile:
    """The network's scores of any of the items of w (V, H), also in bfloat16, and b (V, 1)."""
    return lambda h, items: scores(h, w[items].to(b.dtype), b[items])


@dataclass(frozen=True)
class ItemGroups:
    """The items of a catalogue, those with equal rows and biases as one group.

    A matrix product can round the same dot product differently in a tile of another width, or at
    another place in a tile. So a score is computed once for each group, and equal items tie.
    Groups are numbered in the order of their lowest items.
    """

    group: Tensor
    """(V,) int64, the group of each item."""
    first: Tensor
    """(G,) int64, the lowest item of each group, ascending."""
    size: Tensor
    """(G,) int64, items of each group."""

    @classmethod
    def of(cls, w: Tensor, b: Tensor) -> ItemGroups:
        """The groups of the items with rows w (V, H) and biases b (V, 1)."""
        _, group, size = torch.unique(
            torch.cat([w, b], dim=1), dim=0, return_inverse=True, return_counts=True
        )
        item = torch.arange(len(w), device=w.device)
        first = torch.full_like(size, len(w)).scatter_reduce(0, group, item, "amin")
        order = torch.argsort(first)
        return cls(torch.argsort(order)[group], first[order], size[order])

    @classmethod
    def all_different(cls, n_items: int, device: torch.device) -> ItemGroups:
        """Each of V items as a group of its own."""
        item = torch.arange(n_items, device=device)
        return cls(item, item, torch.ones_like(item))

    def __len__(self) -> int:
        """G, the number of groups."""
        return len(self.first)


def rank_counts(
    features: Tensor, targets: Tensor, score_tile: ScoreTile, groups: ItemGroups, tile: int = 4096
) -> tuple[Tensor, Tensor]:
    """How many items score above each row's target, and how many equal it, itself included.

    features (R, F), targets (R,) int64 -> two int64 tensors (R,). The catalogue is scored in
    tiles: memory is R * tile. The target's own score is put into its tile, so that rounding can't
    make an item differ from itself.
    """
    own = score_tile(features, groups.first[groups.group[targets]]).diagonal()[:, None]
    row = torch.arange(len(targets), device=targets.device)
    greater, equal = torch.zeros_like(targets), torch.zeros_like(targets)
    for first in range(0, len(groups), tile):
        s = score_tile(features, groups.first[first : first + tile])
        column = groups.group[targets] - first
        inside = (column >= 0) & (column < s.shape[1])
        column = column.clamp(0, s.shape[1] - 1)
        s[row, column] = torch.where(inside, own[:, 0], s[row, column])
        size = groups.size[first : first + tile]
        greater += ((s > own) * size).sum(dim=1)
        equal += ((s == own) * size).sum(dim=1)
    return greater, equal


RANKS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "standard": lambda greater, _, __: 1 + greater.double(),
    "conservative": lambda greater, equal, _: (greater + equal).double(),
    "median": lambda greater, equal, _: 1 + greater + (equal - 1).double() / 2,
    "tiebreaking": lambda greater, equal, u: 1 + greater + torch.floor(u.double() * equal),
}
"""Rank by tie mode (SPEC section 8) from the counts of `rank_counts` and u uniform in [0, 1)."""


def top_k(
    features: Tensor, k: int, score_tile: ScoreTile, groups: ItemGroups, tile: int = 4096
) -> tuple[Tensor, Tensor]:
    """Scores and items (R, k) of the best items, best first; equal ones by ascending index."""
    best = features.new_empty((len(features), 0))
    best_groups = torch.empty_like(best, dtype=torch.int64)
    for first in range(0, len(groups), tile):
        last = min(first + tile, len(groups))
        candidates = torch.arange(first, last, device=features.device).expand(len(features), -1)
        s = torch.cat([best, score_tile(features, groups.first[first:last])], dim=1)
        candidates = torch.cat([best_groups, candidates], dim=1)
        order = torch.sort(s, dim=1, descending=True, stable=True).indices[:, :k]
        best, best_groups = s.gather(1, order), candidates.gather(1, order)
    return _members_of(groups, best, best_groups, k)


def _members_of(groups: ItemGroups, scores: Tensor, best: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best items (R, k) of the k best groups (R, k) with their scores, best first."""
    if len(groups) == len(groups.group) or len(scores) == 0:
        return scores, groups.first[best]
    by_group = torch.argsort(groups.group, stable=True)
    start = torch.cumsum(groups.size, dim=0) - groups.size
    top_scores, top_items = [], []
    for s, g in zip(scores, best, strict=True):
        size = groups.size[g]
        place = torch.arange(int(size.sum()), device=g.device)
        within = place - (torch.cumsum(size, dim=0) - size).repeat_interleave(size)
        items = by_group[start[g].repeat_interleave(size) + within]
        s = s.repeat_interleave(size)
        order = torch.argsort(items)
        order = order[torch.sort(s[order], descending=True, stable=True).indices][:k]
        top_scores.append(s[order])
        top_items.append(items[order])
    return torch.stack(top_scores), torch.stack(top_items)
