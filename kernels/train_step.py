"""The training step on the device: every launch of a step, and the graph that repeats them.

A step of one GRU layer is seven kernels, none of which waits for the host:

    gru_step_fwd -> scores -> lane_loss -> row_gradients -> gru_gates_bwd -> gru_input_bwd
        -> cell_update

More layers add a gru_step_fwd, gru_gates_bwd, gru_input_bwd and cell_update each. The one-hot layer
has two kernels forward and two backward and no input gradient, which makes eight.

`TrainStep.train_block` copies a planned block into pinned memory, sends it up on a side stream
while the block before it still trains, and replays a CUDA graph of several steps until the block
is through. Kernels find their step by a clock on the device, so one graph serves every block.
All buffers are made once; the losses stay on the device. On CPU tensors, under the interpreter,
the same launches run one after the other without a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast.kernels._tile import check
from gru4rec_fast.kernels._tuning import Tiles, tiles_for
from gru4rec_fast.kernels.block_upload import BlockUpload
from gru4rec_fast.kernels.cell_update import MatrixUpdate, RowsUpdate, cell_update
from gru4rec_fast.kernels.dropout import Dropout
from gru4rec_fast.kernels.gru_step import (
    GRUStepBuffers,
    GRUWeights,
    gru_gates_backward,
    gru_input_backward,
    gru_step_forward,
)
from gru4rec_fast.kernels.gru_step_one_hot import (
    OneHotBuffers,
    OneHotWeights,
    one_hot_backward,
    one_hot_forward,
)
from gru4rec_fast.kernels.row_gradients import sampled_loss_backward
from gru4rec_fast.kernels.sampled_loss import LossBuffers, LossOptions, sampled_loss_forward
from gru4rec_fast.kernels.sparse_adagrad import Learned
from gru4rec_fast.kernels.step_plan import StepPlan, pack_block

if TYPE_CHECKING:
    from gru4rec_fast.planning import StepBlock

    from gru4rec_fast.config import Config

GRAPH_STEPS = 16
"""Steps of the larger graph; what is left of a block replays a graph of one step."""


@dataclass(frozen=True)
class _Run:
    """What every launch needs: the plan on the device, the seed, the update and the tiles."""

    plan: StepPlan
    seed: int
    learning_rate: float
    momentum: float
    tiles: Tiles
    precision: str


class _GRULayer:
    """A cell with the reset gate after the product, its state, and its share of a step."""

    def __init__(
        self,
        run: _Run,
        learned: dict[str, Learned],
        cell: int,
        source: Tensor,
        dropout_x: Dropout,
        dropout_h: Dropout,
    ) -> None:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.learned = [learned[f"G.{cell}.{name}"] for name in names]
        self.weights = GRUWeights(*(parameter.theta for parameter in self.learned))
        (gates, inputs), device = self.weights.w_ih.shape, source.device
        self.run, self.source = run, source
        self.dropout_x, self.dropout_h = dropout_x, dropout_h
        self.state = torch.zeros((2, run.plan.lanes, gates // 3), device=device)
        self.kept = GRUStepBuffers.empty(run.plan.lanes, inputs, gates // 3, device)

    def forward(self) -> None:
        run = self.run
        gru_step_forward(
            run.plan, self.source, self.state, self.weights, self.kept, run.seed,
            self.dropout_x, self.dropout_h, run.tiles, run.precision,
            from_table=self.source.ndim == 2,
        )  # fmt: skip

    def backward(self, d_state: Tensor, rows_a_part: int) -> Tensor:
        """Gradient (B, K) of the input."""
        run, kept = self.run, self.kept
        gru_gates_backward(run.plan, d_state, kept, run.seed, self.dropout_h, rows_a_part)
        gru_input_backward(
            run.plan, kept.d_x_gates, self.weights.w_ih, kept.d_x, run.seed, self.dropout_x,
            run.tiles, run.precision,
        )  # fmt: skip
        return kept.d_x

    def update(self, rows: RowsUpdate | None) -> None:
        """Update the weights and, with the first layer's, the input rows."""
        run, kept = self.run, self.kept
        w_ih, w_hh, b_ih, b_hh = self.learned
        cell_update(
            run.plan,
            MatrixUpdate(w_ih, b_ih, left=kept.d_x_gates, right=kept.x),
            MatrixUpdate(w_hh, b_hh, left=kept.d_h_gates, right=kept.h),
            rows, run.learning_rate, run.momentum, run.tiles, run.precision,
        )  # fmt: skip


class _OneHotLayer:
    """The one-hot first layer, reset gate before the product."""

    def __init__(self, run: _Run, learned: dict[str, Learned], dropout_h: Dropout) -> None:
        self.learned = [learned[f"GE.{name}"] for name in ("Wx0.weight", "Wrz0", "Wh0", "Bh0")]
        self.weights = OneHotWeights(*(parameter.theta for parameter in self.learned))
        self.run, self.dropout_h = run, dropout_h
        units, device = len(self.weights.w_h), self.weights.wx.device
        self.state = torch.zeros((2, run.plan.lanes, units), device=device)
        self.kept = OneHotBuffers.empty(run.plan.lanes, units, device)

    def forward(self) -> None:
        run = self.run
        one_hot_forward(
            run.plan, self.state, self.weights, self.kept, run.seed, self.dropout_h,
            run.tiles, run.precision,
        )  # fmt: skip

    def backward(self, d_state: Tensor, rows_a_part: int) -> Tensor:
        """Gradient (B, 3H) of the selected rows."""
        run = self.run
        one_hot_backward(
            run.plan, d_state, self.weights, self.kept, run.seed, self.dropout_h, rows_a_part,
            run.tiles, run.precision,
        )  # fmt: skip
        return self.kept.d_gates

    def update(self, rows: RowsUpdate | None) -> None:
        """Update the weights and, with the first layer's, the input rows."""
        run, kept, units = self.run, self.kept, self.state.shape[2]
        _, w_rz, w_h, b = self.learned
        gates = kept.d_gates
        new, reset_update = slice(0, units), slice(units, 3 * units)
        cell_update(
            run.plan,
            MatrixUpdate(w_rz, b.part(reset_update), gates[:, reset_update], kept.h, True),
            MatrixUpdate(w_h, b.part(new), gates[:, new], kept.rh, True),
            rows, run.learning_rate, run.momentum, run.tiles, run.precision,
        )  # fmt: skip


class TrainStep:
    """The device-resident training step of one model.

    Args:
        p, accumulators, momenta: parameters and optimiser state by the names of `reference.py`,
            float32 on one device; updated in place. `momenta` is empty without momentum.
        support: (V,) events per item.
        config: the model's options; see `unsupported`.
        block_steps: most steps of a block.
        precision: of the products, 'tf32' or 'ieee'.

    Raises:
        ValueError: parameters that are not float32, contiguous and on one device; an unknown
            precision; an option without a kernel.
    """

    def __init__(
        self,
        p: dict[str, Tensor],
        accumulators: dict[str, Tensor],
        momenta: dict[str, Tensor],
        support: Tensor,
        config: Config,
        *,
        block_steps: int,
        precision: str = "tf32",
    ) -> None:
        reason = unsupported(config)
        if reason:
            raise ValueError(f"{reason}; train with the reference instead")
        if precision not in ("tf32", "ieee"):
            raise ValueError(f"precision is {precision!r}; expected 'tf32' or 'ieee'")
        wy, device = p["Wy.weight"], p["Wy.weight"].device
        for kind in (p, accumulators, momenta):
            for name, value in kind.items():
                check(name, value, tuple(p[name].shape), torch.float32, device)
        learned = {
            name: Learned(value.detach(), accumulators[name], momenta.get(name))
            for name, value in p.items()
        }
        pointers = {name: (v.data_ptr(), accumulators[name].data_ptr()) for name, v in p.items()}
        self.made_of = (pointers, config)
        lanes = config.batch_size
        rows = 2 * lanes + config.n_sample
        tiles = tiles_for(lanes, precision)
        plan = StepPlan.empty(block_steps, lanes, rows, device)
        self.run = _Run(plan, config.seed, config.learning_rate, config.momentum, tiles, precision)
        self.layers = _layers(self.run, learned, config)
        self.options = LossOptions.of(config)
        self.loss = LossBuffers.empty(block_steps, lanes, rows, wy.shape[1], tiles, device)
        self.log_support = torch.log(support.to(device, torch.float64).clamp(min=1)).float()
        self.w, self.bias = learned["Wy.weight"], learned["By.weight"]
        self.table = next(
            (learned[name] for name in ("E.weight", "GE.Wx0.weight") if name in p), self.w
        )
        self.shared = self.table is self.w
        self.kept = torch.zeros((lanes, wy.shape[1]), device=device)
        self.upload = BlockUpload(plan) if device.type == "cuda" else None
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.warm = False

    def serves(
        self, p: dict[str, Tensor], accumulators: dict[str, Tensor], config: Config, steps: int
    ) -> bool:
        """Whether it was made of these very tensors and options, and has room for a block."""
        theirs = {name: (p[name].data_ptr(), accumulators[name].data_ptr()) for name in p}
        return self.made_of == (theirs, config) and steps <= len(self.run.plan.records)

    def train_block(self, states: list[Tensor], block: StepBlock) -> Tensor:
        """Train the T steps of a planned block; returns their losses (T,), on the device.

        states: of each layer, (M, H_l), as the step before the block left them; replaced in the
        list by the states after it, which the next block overwrites.

        Raises:
            ValueError: a block of more steps than `block_steps`, or of other lanes or samples.
        """
        steps = len(block)
        plan = self.run.plan
        if block.inputs.shape[1] != plan.lanes:
            raise ValueError(f"the block has {block.inputs.shape[1]} lanes; expected {plan.lanes}")
        for layer, state in zip(self.layers, states, strict=True):
            slot = layer.state[block.first_step % 2]
            if state.data_ptr() != slot.data_ptr():
                slot[: len(state)].copy_(state)
        with torch.cuda.device_of(self.w.theta):
            self._send(block)
            self._run_steps(steps)
        last = block.first_step + steps
        for i, layer in enumerate(self.layers):
            states[i] = layer.state[last % 2][: int(block.live[-1])]
        return self.loss.losses[:steps].sum(dim=1) / plan.lanes

    def _send(self, block: StepBlock) -> None:
        plan = self.run.plan
        if self.upload is None:
            pack_block(block, plan.rows, plan.records.numpy())
            plan.next.copy_(torch.tensor([0, block.first_step]))
        else:
            self.upload.send(block)

    def _run_steps(self, steps: int) -> None:
        if self.upload is None or not self.warm:
            for _ in range(steps):
                self.launch_step()
            self.warm = True  # every kernel is compiled now: capturing may begin
            return
        if not self.graphs:
            self.graphs = {n: self._capture(n) for n in (GRAPH_STEPS, 1)}
        for _ in range(steps // GRAPH_STEPS):
            self.graphs[GRAPH_STEPS].replay()
        for _ in range(steps % GRAPH_STEPS):
            self.graphs[1].replay()

    def _capture(self, steps: int) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            for _ in range(steps):
                self.launch_step()
        return graph

    def launch_step(self) -> None:
        """The kernels of one step, in order."""
        run, loss, top = self.run, self.loss, self.layers[-1]
        for layer in self.layers:
            layer.forward()
        sampled_loss_forward(
            run.plan, top.state, self.w.theta, self.bias.theta, self.log_support, loss,
            self.options, run.tiles, run.precision,
        )  # fmt: skip
        sampled_loss_backward(
            run.plan, top.state, self.w, self.bias, loss, self.options, run.tiles, run.precision,
            kept=self.kept, shared=self.shared,
            learning_rate=run.learning_rate, momentum=run.momentum,
        )  # fmt: skip
        d_state, rows_a_part = loss.d_state, run.tiles.rows
        for layer in reversed(self.layers):
            d_state = layer.backward(d_state, rows_a_part)
            rows_a_part = 0
        rows = RowsUpdate(self.table, d_state, self.kept if self.shared else None)
        for layer in reversed(self.layers):
            layer.update(rows if layer is self.layers[0] else None)


def _layers(
    run: _Run, learned: dict[str, Learned], config: Config
) -> list[_GRULayer | _OneHotLayer]:
    """The layers from the input up; dropout sites as in `reference.advance`."""
    layers: list[_GRULayer | _OneHotLayer] = []
    embedding = Dropout(0, config.dropout_p_embed)
    if "GE.Wx0.weight" in learned:
        layers.append(_OneHotLayer(run, learned, embedding))
    table = learned["E.weight" if "E.weight" in learned else "Wy.weight"].theta
    for cell in range(len(config.layers) - len(layers)):
        source, dropout_x = (layers[-1].state, Dropout()) if layers else (table, embedding)
        dropout_h = Dropout(len(layers) + 1, config.dropout_p_hidden)
        layers.append(_GRULayer(run, learned, cell, source, dropout_x, dropout_h))
    return layers


def unsupported(config: Config) -> str:
    """Why a model of these options cannot be trained by the kernels; '' if it can."""
    if config.loss not in ("cross-entropy", "bpr-max"):
        return f"there is no kernel for loss={config.loss!r}"
    return ""
