"""The kernels as differentiable functions of plain tensors, for models other than this package's.

`gru_step` and `sampled_loss` run the kernels of the training step on a plan of one step, in which
every lane is alive; here the state is a variable too, and rows get gradients instead of updates.
Both compute in float32 on the device of their arguments.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gru4rec_fast.kernels._tile import check
from gru4rec_fast.kernels._tuning import tiles_for
from gru4rec_fast.kernels.dropout import Dropout
from gru4rec_fast.kernels.gru_step import (
    GRUStepBuffers,
    GRUWeights,
    gru_gates_backward,
    gru_input_backward,
    gru_step_forward,
)
from gru4rec_fast.kernels.row_gradients import sampled_loss_backward
from gru4rec_fast.kernels.sampled_loss import LossBuffers, LossOptions, sampled_loss_forward
from gru4rec_fast.kernels.sparse_adagrad import Learned
from gru4rec_fast.kernels.step_plan import PlannedStep, StepPlan


class _GRUStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor,
        precision: str,
    ) -> Tensor:  # fmt: skip
        (lanes, inputs), units = x.shape, h.shape[1]
        plan = _all_alive(lanes, x.device)
        weights = GRUWeights(w_ih, w_hh, b_ih, b_hh)
        kept = GRUStepBuffers.empty(lanes, inputs, units, x.device)
        state = torch.stack([h, h])  # read from the first, written to the second
        no_dropout, tiles = Dropout(), tiles_for(lanes, precision)
        gru_step_forward(plan, x, state, weights, kept, 0, no_dropout, no_dropout, tiles, precision)
        ctx.save_for_backward(w_ih, w_hh)
        ctx.kept, ctx.precision = kept, precision
        return state[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (w_ih, w_hh), kept, d = ctx.saved_tensors, ctx.kept, gradients[0].contiguous()
        plan = _all_alive(len(d), d.device)
        tiles = tiles_for(len(d), ctx.precision)
        gru_gates_backward(plan, d, kept, 0, Dropout(), rows_a_part=0)
        d_x, d_h = torch.empty_like(kept.x), torch.empty_like(kept.h)
        for gates, w, out in ((kept.d_x_gates, w_ih, d_x), (kept.d_h_gates, w_hh, d_h)):
            gru_input_backward(plan, gates, w, out, 0, Dropout(), tiles, ctx.precision)
        d_h += d * kept.gates[1]
        return (
            d_x, d_h, kept.d_x_gates.T @ kept.x, kept.d_h_gates.T @ kept.h,
            kept.d_x_gates.sum(dim=0), kept.d_h_gates.sum(dim=0), None,
        )  # fmt: skip


def gru_step(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    precision: str = "tf32",
) -> Tensor:
    """One GRU step as `torch.nn.GRUCell` computes it, differentiable in every tensor.

    x (M, K), h (M, H), w_ih (3H, K), w_hh (3H, H), b_ih and b_hh (3H,) -> h' (M, H), all float32.

    Raises:
        ValueError: a tensor of another dtype, shape or device.
    """
    (lanes, inputs), units = x.shape, h.shape[1]
    x, h = x.contiguous(), h.contiguous()
    shapes: list[tuple[int, ...]] = [(lanes, inputs), (lanes, units)]
    shapes += [(3 * units, inputs), (3 * units, units), (3 * units,), (3 * units,)]
    names = ("x", "h", "w_ih", "w_hh", "b_ih", "b_hh")
    for name, tensor, shape in zip(names, (x, h, w_ih, w_hh, b_ih, b_hh), shapes, strict=True):
        check(name, tensor, shape, torch.float32, x.device)
    with torch.cuda.device_of(x):
        return _GRUStep.apply(x, h, w_ih, w_hh, b_ih, b_hh, precision)


class _SampledLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, h: Tensor, w: Tensor, b: Tensor, targets: Tensor, negatives: Tensor,
        log_support: Tensor, options: LossOptions, sparse: bool, precision: str,
    ) -> Tensor:  # fmt: skip
        lanes, units = h.shape
        columns = torch.cat([targets, negatives])
        rows, index = torch.unique(columns, return_inverse=True)
        plan = StepPlan.empty(1, lanes, len(columns), h.device)
        step = PlannedStep(plan)
        step.set_lanes(target_row=index[:lanes])
        step.set_rows(
            row_item=rows,
            target_count=torch.bincount(index[:lanes], minlength=len(rows)),
            sample_count=torch.bincount(index[lanes:], minlength=len(rows)),
        )
        tiles = tiles_for(lanes, precision)
        buffers = LossBuffers.empty(1, lanes, len(columns), units, tiles, h.device)
        state = torch.stack([h, h])
        sampled_loss_forward(plan, state, w, b, log_support, buffers, options, tiles, precision)
        ctx.save_for_backward(w, b, rows)
        ctx.rest = plan, state, buffers, options, tiles, sparse, precision
        return buffers.losses.sum() / lanes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        w, b, rows = ctx.saved_tensors
        plan, state, buffers, options, tiles, sparse, precision = ctx.rest
        g_w = torch.zeros((plan.rows, w.shape[1]), device=w.device)
        g_b = torch.zeros((plan.rows, 1), device=w.device)
        sampled_loss_backward(
            plan, state, Learned(w, w), Learned(b, b), buffers, options, tiles, precision,
            kept=g_w, kept_bias=g_b,
        )  # fmt: skip
        parts = -(-len(rows) // tiles.rows)
        d_h = buffers.d_state[:parts].sum(dim=0)
        whole = [_of_table(rows, g[: len(rows)] * gradients[0], t, sparse)
                 for g, t in ((g_w, w), (g_b, b))]  # fmt: skip
        return d_h * gradients[0], *whole, None, None, None, None, None, None


def _of_table(rows: Tensor, g: Tensor, table: Tensor, sparse: bool) -> Tensor:
    """Gradient of a table of which only `rows` have one, g."""
    if sparse:
        return torch.sparse_coo_tensor(
            rows[None], g, table.shape, is_coalesced=True, check_invariants=False
        )
    return torch.zeros_like(table).index_copy_(0, rows, g)


def sampled_loss(
    h: Tensor,
    w: Tensor,
    b: Tensor,
    targets: Tensor,
    negatives: Tensor,
    options: LossOptions,
    log_support: Tensor | None = None,
    sparse: bool = False,
    precision: str = "tf32",
) -> Tensor:
    """Mean loss of the rows over the targets and negatives, differentiable in h, w and b.

    h (M, H), w (V, H), b (V, 1) float32; targets (M,) and negatives (S,) int64; log_support (V,),
    needed with logq > 0. With `sparse` the gradients of w and b are sparse tensors. Finding the
    unique rows waits for the device.

    Raises:
        ValueError: a tensor of another dtype, shape or device, or log_support missing.
    """
    (lanes, units), n_items, h = h.shape, len(w), h.contiguous()
    check("h", h, (lanes, units), torch.float32, h.device)
    check("w", w, (n_items, units), torch.float32, h.device)
    check("b", b, (n_items, 1), torch.float32, h.device)
    check("targets", targets, (lanes,), torch.int64, h.device)
    check("negatives", negatives, (len(negatives),), torch.int64, h.device)
    if log_support is None:
        if options.corrects:
            raise ValueError(f"logq is {options.logq}; expected log_support (V,) with it")
        log_support = b
    with torch.cuda.device_of(h):
        return _SampledLoss.apply(
            h, w, b, targets, negatives, log_support, options, sparse, precision
        )


@lru_cache(maxsize=32)
def _all_alive(lanes: int, device: torch.device) -> StepPlan:
    """A plan of one step in which lane j reads row j of the input and goes on from state j."""
    plan = StepPlan.empty(1, lanes, 1, device)
    every = torch.arange(lanes, dtype=torch.int32, device=device)
    PlannedStep(plan).set_lanes(item=every, source=every)
    return plan
