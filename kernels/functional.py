"""The kernels as differentiable functions of plain tensors, for models other than this package's.

`gru_step` and `sampled_loss` run the kernels of the training step on a block of one step, in which
every lane is alive. Here the carried state is a variable too, and parameters get gradients instead
of updates. Both functions compute in float32 on the device of their arguments. Each call makes its
own block and buffers, so calls on several streams or threads do not share any.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gru4rec_fast.kernels._tile import check
from gru4rec_fast.kernels._tuning import Tiles, architecture_of, tiles_for
from gru4rec_fast.kernels.cells.gru_reset_after import GRUResetAfter, input_gradient
from gru4rec_fast.kernels.device_block import DeviceBlock, SingleStep
from gru4rec_fast.kernels.dropout import NO_DROPOUT, dropout_constants
from gru4rec_fast.kernels.parameter import Parameter
from gru4rec_fast.kernels.row_gradients import row_gradients
from gru4rec_fast.kernels.sampled_loss import LossBuffers, LossOptions
from gru4rec_fast.kernels.sampled_loss import sampled_loss as launch_sampled_loss
from gru4rec_fast.kernels.step_context import StepContext


def _tiles(lanes: int, precision: str, device: torch.device) -> Tiles:
    return tiles_for(lanes, precision, architecture_of(device))


class _GRUStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor,
        precision: str,
    ) -> Tensor:  # fmt: skip
        lanes = len(x)
        block = DeviceBlock.empty(1, lanes, 1, x.device)
        every = torch.arange(lanes, dtype=torch.int32, device=x.device)
        SingleStep(block).set_lanes(item=every, source=every)  # lane j reads row j and state j
        context = StepContext(block, 0, _tiles(lanes, precision, x.device), precision)
        weights = [Parameter(w) for w in (w_ih, w_hh, b_ih, b_hh)]
        layer = GRUResetAfter(context, weights, x, NO_DROPOUT, NO_DROPOUT)
        layer.state[0] = h
        layer.forward(0)
        ctx.save_for_backward(w_ih, w_hh)
        ctx.layer = layer
        return layer.state[1].clone()  # a view would keep both slots

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (_, w_hh), layer, d = ctx.saved_tensors, ctx.layer, gradients[0].contiguous()
        with torch.cuda.device_of(d):
            d_x, d_h = layer.backward(0, d, rows_a_part=0).clone(), torch.empty_like(layer.h)
            input_gradient(
                layer.context, 0, layer.d_h_gates, w_hh, d_h, dropout_constants(NO_DROPOUT, "X")
            )
        d_h += d * layer.gates[1]
        return (
            d_x, d_h, layer.d_x_gates.T @ layer.x, layer.d_h_gates.T @ layer.h,
            layer.d_x_gates.sum(dim=0), layer.d_h_gates.sum(dim=0), None,
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
        block = DeviceBlock.empty(1, lanes, len(columns), h.device)
        step = SingleStep(block)
        step.set_lanes(target_row=index[:lanes], target_item=targets)
        step.set_rows(
            row_item=rows,
            target_count=torch.bincount(index[:lanes], minlength=len(rows)),
            sample_count=torch.bincount(index[lanes:], minlength=len(rows)),
        )
        context = StepContext(block, 0, _tiles(lanes, precision, h.device), precision)
        buffers = LossBuffers.empty(block, options.loss, units, context.tiles)
        state = torch.stack([h, h])
        correction = options.correction(log_support)
        launch_sampled_loss(context, 0, state, w, b, correction, buffers, options)
        ctx.save_for_backward(w, b, rows)
        ctx.rest = context, state, correction, buffers, options, sparse
        return buffers.losses.sum() / lanes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        w, b, rows = ctx.saved_tensors
        context, state, correction, buffers, options, sparse = ctx.rest
        g_w = torch.zeros((context.block.rows, w.shape[1]), device=w.device)
        g_b = torch.zeros((context.block.rows, 1), device=w.device)
        with torch.cuda.device_of(w):
            row_gradients(
                context, 0, state, Parameter(w), Parameter(b), correction, buffers, options,
                deferred=g_w, deferred_bias=g_b,
            )  # fmt: skip
        parts = -(-len(rows) // context.tiles.gradient_rows)
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
