"""The specification of GRU4Rec in plain PyTorch: every fast path is tested against this file.

It is differentiable, works in float32 and float64, and computes each thing the obvious way.
Papers: Hidasi et al., ICLR 2016 (arXiv:1511.06939), "2016" below; Hidasi & Karatzoglou, CIKM 2018
(arXiv:1706.03847), "2018".

Letters: B lanes, M live lanes (M <= B), H hidden units, V items, S sampled negatives, N = M + S
scored columns. Parameters are passed as a dict whose keys are the names of the model's state_dict:

    Wy.weight (V, H)   By.weight (V, 1)         item vectors and biases of the output
    E.weight (V, K)                             input embedding, only with `embedding=K`
    GE.Wx0.weight (V, 3H) GE.Wrz0 (H, 2H) GE.Wh0 (H, H) GE.Bh0 (3H,)      one-hot first cell
    G.{i}.weight_ih (3H, K) .weight_hh (3H, H) .bias_ih .bias_hh (3H,)    the other cells

Without `E.weight` and `GE.*` the input is a row of Wy (shared, "constrained" embedding).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config

Parameters = dict[str, Tensor]

LOG_EPSILON = 1e-24
ADAGRAD_EPSILON = 1e-6

# The tables of which a step touches a few rows only; everything else is dense.
TABLES = ("Wy.weight", "By.weight", "E.weight", "GE.Wx0.weight")


# ---- Mini-batches (2016, section 3.1.1) -----------------------------------------------------


class LaneStep(NamedTuple):
    """One step of M live lanes; every array has shape (M,). Fields as in `_core.LaneBlock`."""

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    restarts: NDArray[np.uint8]
    source: NDArray[np.int32]
    events: NDArray[np.int64]


@dataclass
class Lane:
    """Where a lane stands in its session; without a next event it is free."""

    event: int = 0
    last: int = 0
    restart: int = 1
    source: int | None = None


def session_parallel_batches(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    order: NDArray[np.int64],
    batch_size: int,
    min_live: int = 1,
) -> Iterator[LaneStep]:
    """The steps of one epoch (spec section 2), the plain twin of the C++ lane scheduler.

    Session s of `order` holds items[offsets[s]:offsets[s + 1]]. The epoch ends when fewer than
    `min_live` lanes live.
    """
    waiting = iter(order)
    lanes = [Lane() for _ in range(min(batch_size, len(order)))]
    while True:
        # In rounds: a lane that got a session without a pair is free again.
        while free := [lane for lane in lanes if lane.event >= lane.last]:
            sessions = list(itertools.islice(waiting, len(free)))
            for lane, s in zip(free, sessions, strict=False):
                lane.event, lane.last, lane.restart = offsets[s], offsets[s + 1] - 1, 1
            if len(sessions) < len(free):
                lanes = [lane for lane in lanes if lane.event < lane.last]
        if len(lanes) < max(1, min_live):
            return
        events = np.array([lane.event for lane in lanes], dtype=np.int64)
        restarts = np.array([lane.restart for lane in lanes], dtype=np.uint8)
        source = [b if lane.source is None else lane.source for b, lane in enumerate(lanes)]
        yield LaneStep(
            items[events], items[events + 1], restarts, np.array(source, dtype=np.int32), events
        )
        for b, lane in enumerate(lanes):
            lane.source, lane.event, lane.restart = b, lane.event + 1, 0


# ---- Cells ----------------------------------------------------------------------------------


def gru_reset_after(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """GRU cell, reset gate after the recurrent product (as torch.nn.GRUCell).

    x (M, K), h (M, H) -> h' (M, H); gates stacked as (reset, update, new).
    """
    r_x, z_x, n_x = F.linear(x, w_ih, b_ih).chunk(3, dim=1)
    r_h, z_h, n_h = F.linear(h, w_hh, b_hh).chunk(3, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


def gru_reset_before(wx: Tensor, h: Tensor, w_rz: Tensor, w_h: Tensor, b: Tensor) -> Tensor:
    """GRU cell, reset gate before the recurrent product (2016, equations 2 to 5).

    wx (M, 3H) holds the input products, gates stacked as (new, reset, update); h (M, H) -> h'.
    The update gate weighs the *new* state here, the old one in `gru_reset_after`.
    """
    n_x, r_x, z_x = (wx + b).chunk(3, dim=1)
    r_h, z_h = (h @ w_rz).chunk(2, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + (r * h) @ w_h)
    return (1 - z) * h + z * n


# ---- Network --------------------------------------------------------------------------------


def input_table(p: Parameters) -> str:
    """Name of the table that the input items select rows of."""
    return next((name for name in ("E.weight", "GE.Wx0.weight") if name in p), "Wy.weight")


def carry(state: Tensor, source: Tensor, restarts: Tensor) -> Tensor:
    """State (M, H) of the live lanes: lane j goes on from row source[j], or from zero."""
    return state[source].masked_fill(restarts[:, None], 0.0)


def advance(
    p: Parameters, x: Tensor, states: Sequence[Tensor], masks: Sequence[Tensor | None]
) -> list[Tensor]:
    """New state (M, H_l) of every layer from the input rows x and the carried states.

    `masks` are inverted-dropout factors by site: 0 the embedding's, l + 1 that of cell l; None is
    no dropout. In one-hot mode the first cell takes site 0, as there is no embedding before it.
    The dropped-out state is both passed on and carried.
    """
    new_states = []
    cells = 0
    for layer, h in enumerate(states):
        if layer == 0 and "GE.Wrz0" in p:
            h = gru_reset_before(x, h, p["GE.Wrz0"], p["GE.Wh0"], p["GE.Bh0"])
            mask = masks[0]
        else:
            if layer == 0:
                x = dropout(x, masks[0])
            g = f"G.{cells}."
            weights = (p[g + name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            h = gru_reset_after(x, h, *weights)
            mask = masks[layer + 1]
            cells += 1
        x = dropout(h, mask)
        new_states.append(x)
    return new_states


def dropout_sites(p: Parameters, config: Config) -> list[tuple[int, float]]:
    """Width and rate of each dropout site of `advance`."""
    one_hot = "GE.Wrz0" in p
    width = config.layers[0] if one_hot else p[input_table(p)].shape[1]
    sites = [(width, config.dropout_p_embed)]
    sites += [(units, config.dropout_p_hidden) for units in config.layers]
    if one_hot:
        sites[1] = (config.layers[0], 0.0)
    return sites


def dropout(x: Tensor, mask: Tensor | None) -> Tensor:
    """Inverted dropout by given factors, 0 or 1 / (1 - p)."""
    return x if mask is None else x * mask


def scores(h: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Scores (M, N) of the items whose rows are w (N, H) and b (N, 1)."""
    return h @ w.T + b.T


# ---- Losses: scores (M, N), row i's positive in column i -> loss of each row (M,) -----------


def correct_logq(s: Tensor, support: Tensor, columns: Tensor, logq: float, alpha: float) -> Tensor:
    """Scores less logq * log(q), the correction of a sampled softmax.

    q is the item's support for the M in-batch columns, support^alpha for the S sampled ones.
    """
    log_q = torch.log(support[columns].to(s.dtype))
    log_q[s.shape[0] :] *= alpha
    return s - logq * log_q


def cross_entropy(s: Tensor) -> Tensor:
    """-log(softmax(s)_i + 1e-24) over all N columns (2018, categorical cross-entropy)."""
    return -torch.log(torch.softmax(s, dim=1).diagonal() + LOG_EPSILON)


def elu(s: Tensor, alpha: float) -> Tensor:
    """Exponential linear unit; alpha 0 means no activation at all."""
    return F.elu(s, alpha) if alpha > 0 else s


def bpr_max(s: Tensor, bpreg: float) -> Tensor:
    """-log(sum_j w_j sigma(s_i - s_j) + 1e-24) + bpreg sum_j w_j s_j^2 (2018, BPR-max).

    w is the softmax over the N - 1 negatives of the row.
    """
    positive = s.diagonal()[:, None]
    own = torch.zeros_like(s, dtype=torch.bool).fill_diagonal_(True)
    w = torch.softmax(s.masked_fill(own, -torch.inf), dim=1)
    likelihood = (w * torch.sigmoid(positive - s)).sum(dim=1)
    return -torch.log(likelihood + LOG_EPSILON) + bpreg * (w * s**2).sum(dim=1)


LOSSES: dict[str, Callable[[Tensor, Config], Tensor]] = {
    "cross-entropy": lambda s, _: cross_entropy(s),
    "bpr-max": lambda s, config: bpr_max(elu(s, config.elu_param), config.bpreg),
}


# ---- One training step ----------------------------------------------------------------------


@dataclass(frozen=True)
class Touched:
    """The rows of one table that a step touches, and where each occurrence finds its row."""

    rows: Tensor
    """(U,) unique items, int64."""
    index: Tensor
    """(occurrences,) position in `rows` of each occurrence, int64."""

    def to(self, device: torch.device) -> Touched:
        """The same on another device."""
        return Touched(
            self.rows.to(device, non_blocking=True), self.index.to(device, non_blocking=True)
        )


@dataclass(frozen=True)
class Gradient:
    """Gradient of one parameter; of a table only that of the touched `rows`, else rows is None."""

    values: Tensor
    rows: Tensor | None = None


def touched_rows(p: Parameters, inputs: Tensor, columns: Tensor) -> dict[str, Touched]:
    """What a step touches of each table, from inputs (M,) and columns (N,).

    The M inputs are the last occurrences of the input table, which in shared mode is Wy.
    """
    source = input_table(p)
    occurrences = {"Wy.weight": columns, "By.weight": columns}
    if source == "Wy.weight":
        occurrences[source] = torch.cat([columns, inputs])
    else:
        occurrences[source] = inputs
    return {
        name: Touched(*torch.unique(items, return_inverse=True))
        for name, items in occurrences.items()
    }


def loss_and_gradients(
    p: Parameters,
    states: Sequence[Tensor],
    columns: Tensor,
    touched: dict[str, Touched],
    masks: Sequence[Tensor | None],
    support: Tensor,
    config: Config,
) -> tuple[Tensor, list[Tensor], dict[str, Gradient]]:
    """Loss of a step, the new states, and the gradient of every parameter.

    states: list of (M, H_l), constants of the step (no back-propagation through time). columns
    (N,): the M targets, then the S negatives. support (V,): events per item. The loss is the sum
    over rows divided by B, also when M < B (spec section 5). Each touched row is one leaf, so that
    autograd sums the gradients of a row that occurs several times; in shared mode those of input
    and output too.
    """
    m, n = len(states[0]), len(columns)
    leaves = {name: value.detach() for name, value in p.items() if name not in TABLES}
    leaves |= {name: p[name].detach()[t.rows] for name, t in touched.items()}
    for leaf in leaves.values():
        leaf.requires_grad_()

    occurrences = {name: F.embedding(t.index, leaves[name]) for name, t in touched.items()}
    x = occurrences[input_table(p)][-m:]
    new_states = advance(leaves, x, states, masks)
    s = scores(new_states[-1], occurrences["Wy.weight"][:n], occurrences["By.weight"])
    if config.logq > 0 and config.loss == "cross-entropy":
        s = correct_logq(s, support, columns, config.logq, config.sample_alpha)
    loss = LOSSES[config.loss](s, config).sum() / config.batch_size

    values = torch.autograd.grad(loss, list(leaves.values()))
    gradients = {
        name: Gradient(value, touched[name].rows if name in touched else None)
        for name, value in zip(leaves, values, strict=True)
    }
    return loss.detach(), [h.detach() for h in new_states], gradients


def adagrad(
    theta: Tensor, a: Tensor, m: Tensor | None, g: Tensor, learning_rate: float, momentum: float
) -> None:
    """Adagrad with momentum, in place: a += g^2; m = mu m - eta g / sqrt(a + eps); theta += m."""
    a += g**2
    update = -learning_rate * g / torch.sqrt(a + ADAGRAD_EPSILON)
    if m is not None:
        m *= momentum
        m += update
        update = m
    theta += update


def sparse_adagrad(
    theta: Tensor,
    a: Tensor,
    m: Tensor | None,
    rows: Tensor,
    g: Tensor,
    learning_rate: float,
    momentum: float,
) -> None:
    """`adagrad` on the unique `rows` (U,) of a table (V, H), g (U, H) their summed gradients."""
    theta_rows, a_rows, m_rows = theta[rows], a[rows], None if m is None else m[rows]
    adagrad(theta_rows, a_rows, m_rows, g, learning_rate, momentum)
    theta[rows], a[rows] = theta_rows, a_rows
    if m is not None and m_rows is not None:
        m[rows] = m_rows


# ---- Ranks ----------------------------------------------------------------------------------


ScoreTile = Callable[[Tensor, Tensor], Tensor]
"""Scores (R, n) of the n items that an int64 tensor names, from features (R, F)."""


def item_scores(w: Tensor, b: Tensor) -> ScoreTile:
    """The network's scores of any of the items of w (V, H) and b (V, 1)."""
    return lambda h, items: scores(h, w[items], b[items])


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
"""Rank by tie mode (spec section 8) from the counts of `rank_counts` and u uniform in [0, 1)."""


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
