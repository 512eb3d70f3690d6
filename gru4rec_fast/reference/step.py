"""One training step: the loss and the gradient of every parameter, by autograd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from gru4rec_fast.reference.activations import activate
from gru4rec_fast.reference.losses import LOSSES, correct_logq
from gru4rec_fast.reference.network import advance, scores
from gru4rec_fast.reference.products import LINEAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.reference.network import Parameters
    from gru4rec_fast.spec import NetworkSpec


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


def touched_rows(spec: NetworkSpec, inputs: Tensor, columns: Tensor) -> dict[str, Touched]:
    """What a step touches of each table, from inputs (M,) and columns (N,).

    The M inputs are the last occurrences of the input table, which in shared mode is Wy.
    """
    occurrences = {"Wy.weight": columns, "By.weight": columns}
    occurrences[spec.input_table] = torch.cat([columns, inputs]) if spec.shared else inputs
    return {
        name: Touched(*torch.unique(items, return_inverse=True))
        for name, items in occurrences.items()
    }


def loss_and_gradients(
    spec: NetworkSpec,
    p: Parameters,
    states: Sequence[Tensor],
    columns: Tensor,
    touched: dict[str, Touched],
    masks: Sequence[Tensor | None],
    support: Tensor,
    config: Config,
    in_batch: int | None = None,
) -> tuple[Tensor, list[Tensor], dict[str, Gradient]]:
    """Loss of a step, the new states, and the gradient of every parameter.

    states: list of (M, states * H_l), constants of the step (no back-propagation through time).
    columns (N,): the M targets, then the S negatives. support (V,): events per item. in_batch: how
    many of the columns are targets, if other lanes have more of them behind these M. The loss is
    the sum over rows divided by B, also when M < B (SPEC section 5). Each touched row is one leaf,
    so that autograd sums the gradients of a row that occurs several times; in shared mode those of
    input and output too.
    """
    m, n = len(states[0]), len(columns)
    linear = LINEAR[config.precision]
    leaves = {name: value.detach() for name, value in p.items() if name not in spec.tables}
    dtype = p["By.weight"].dtype  # item tables may be bfloat16
    leaves |= {name: p[name].detach()[t.rows].to(dtype) for name, t in touched.items()}
    for leaf in leaves.values():
        leaf.requires_grad_()

    occurrences = {name: F.embedding(t.index, leaves[name]) for name, t in touched.items()}
    x = occurrences[spec.input_table][-m:]
    new_states, features = advance(spec, leaves, x, states, masks, linear)
    s = scores(features, occurrences["Wy.weight"][:n], occurrences["By.weight"], linear)
    if config.logq > 0 and config.loss == "cross-entropy":
        s = correct_logq(s, support, columns, config.logq, config.sample_alpha, in_batch)
    s = activate(s, config.score_activation)
    loss = LOSSES[config.loss](s, config).sum() / config.batch_size

    values = torch.autograd.grad(loss, list(leaves.values()))
    gradients = {
        name: Gradient(value, touched[name].rows if name in touched else None)
        for name, value in zip(leaves, values, strict=True)
    }
    return loss.detach(), [h.detach() for h in new_states], gradients
