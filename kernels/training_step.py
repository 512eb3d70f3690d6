"""The training step on the device: every launch of a step, and the graphs that repeat them.

A step of one GRU layer is seven kernels, none of which waits for the host:

    gru_reset_after_fwd -> scores -> lane_loss -> row_gradients -> gru_reset_after_gates_bwd
        -> gru_reset_after_input_bwd -> cell_update

Each further layer adds its two backward kernels, its forward kernel and a cell_update. The one-hot
layer has two kernels forward and two backward and no input gradient, which makes eight. An
optimiser of whole rows adds a `row_update` for each parameter.

`TrainingStep.train_block` packs a planned block into pinned memory and uploads it on a side stream
while the block before it still trains. Then it replays the CUDA graph of the whole block. Each of
the graph's kernels has the address of its step's record, so it serves every block of this length.
All buffers are allocated once, and the losses stay on the device. On CPU tensors, in the
interpreter, the same launches run one after the other without a graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast import reference
from gru4rec_fast.kernels._tile import check, check_offsets
from gru4rec_fast.kernels._tuning import architecture_of, tiles_for
from gru4rec_fast.kernels.block_upload import BlockUpload
from gru4rec_fast.kernels.cell_update import InputRows
from gru4rec_fast.kernels.cells import CELLS, Layer
from gru4rec_fast.kernels.device_block import DeviceBlock, pack_block
from gru4rec_fast.kernels.dropout import NO_DROPOUT
from gru4rec_fast.kernels.losses import LOSSES
from gru4rec_fast.kernels.optimisers import OPTIMISERS
from gru4rec_fast.kernels.parameter import Parameter
from gru4rec_fast.kernels.row_gradients import row_gradients
from gru4rec_fast.kernels.row_update import RowUpdate
from gru4rec_fast.kernels.sampled_loss import LossBuffers, LossOptions, sampled_loss
from gru4rec_fast.kernels.step_context import StepContext

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.spec import NetworkSpec

__all__ = ["CELLS", "LOSSES", "OPTIMISERS", "TrainingStep"]

GRAPH_STEPS = 16
"""Steps of a graph of a shorter block; what is left of it then is launched without a graph."""


class TrainingStep:
    """The training step of one network, with its buffers and states on the device.

    Args:
        spec: the network.
        p: parameters by the names of `spec.parameters`, float32, contiguous, on one device.
        state: the optimiser's state tables in the order of its `state_kinds`; each has a tensor for
            every name, like the parameter or with one number a row. Parameters and state are
            updated in place.
        config: of it the loss, the batch size, n_sample and the seed.
        support: (V,) events per item.
        block_steps: most steps of a block.
        precision: of the products, 'tf32' or 'ieee'.
        optimiser: its class has the name of a key of OPTIMISERS; None for that of `config`.
        architecture: of `_tuning.ARCHITECTURES`, whose tiles are used; None for the device's.
        dependent_launches: see `dependent_launch`; NVIDIA GPUs of compute capability 9.0 or later.

    Raises:
        ValueError: a loss, cell, optimiser or precision that the kernels do not have; a wrong
            number of state tables; a tensor that is missing or has another dtype, shape, layout or
            device.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        p: dict[str, Tensor],
        state: list[dict[str, Tensor]],
        config: Config,
        support: Tensor,
        *,
        block_steps: int,
        precision: str = "tf32",
        optimiser: reference.Optimiser | None = None,
        architecture: str | None = None,
        dependent_launches: bool = False,
    ) -> None:
        optimiser = optimiser or reference.OPTIMISERS[config.adapt](config)
        _known("loss", config.loss, LOSSES)
        _known("optimiser", optimiser.name, OPTIMISERS)
        _known("precision", precision, ("tf32", "ieee"))
        for layer in spec.layers:
            _known("cell", layer.cell, CELLS)
        parameters = _parameters(spec, p, state, optimiser.state_kinds)
        self.w, self.bias = parameters["Wy.weight"], parameters["By.weight"]
        self.table, self.shared = parameters[spec.input_table], spec.shared
        device, units = self.w.theta.device, spec.layers[-1].units
        lanes = config.batch_size
        self.block = DeviceBlock.empty(block_steps, lanes, 2 * lanes + config.n_sample, device)
        rule = OPTIMISERS[optimiser.name]
        tiles = tiles_for(
            lanes, precision, architecture or architecture_of(device),
            0 if rule.whole_rows else len(state),
        )  # fmt: skip
        self.update = rule.of(optimiser, config.has_schedule)
        self.row_updates: dict[str, RowUpdate] = {}
        if rule.whole_rows:
            self.row_updates = _row_updates(spec, parameters, self.block.rows)
            parameters = {
                name: Parameter(each.parameter.theta, (each.gradient,))
                for name, each in self.row_updates.items()
            }
            self.table = parameters[spec.input_table]
        fused = None if rule.whole_rows else self.update
        self.context = StepContext(
            self.block, config.seed, tiles, precision, fused, dependent_launches
        )  # fmt: skip
        self.layers = _layers(self.context, spec, parameters)
        self.options = LossOptions.of(config)
        self.loss = LossBuffers.empty(self.block, self.options.loss, units, tiles)
        log_support = torch.log(support.to(device, torch.float64).clamp(min=1)).float()
        self.correction = self.options.correction(log_support)
        self.deferred, self.deferred_bias = torch.zeros((lanes, units), device=device), None
        if rule.whole_rows:
            self.deferred = self.row_updates["Wy.weight"].gradient
            self.deferred_bias = self.row_updates["By.weight"].gradient
        self.upload = BlockUpload(self.block) if device.type == "cuda" else None
        self.graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        """By the first of the block's steps that they train, and the step behind the last."""
        self._capture_stream: torch.cuda.Stream | None = None
        self.warm = False
        self._live = lanes
        self._slot: int | None = None
        """Of the layers' states: where the last step wrote; None: both slots are equal."""

    def start_epoch(self) -> None:
        """Set the states of all lanes to zero."""
        for layer in self.layers:
            layer.state.zero_()
        self._live, self._slot = self.block.lanes, None

    @property
    def states(self) -> list[Tensor]:
        """(M, H_l) of each layer after the last step, copied; M is the number of its live lanes.

        Setting them replaces the states that the next block continues from, M at most B.
        """
        return [layer.state[self._slot or 0, : self._live].clone() for layer in self.layers]

    @states.setter
    def states(self, states: Sequence[Tensor]) -> None:
        shapes = [tuple(state.shape) for state in states]
        expected = [(len(states[0]), layer.state.shape[2]) for layer in self.layers]
        if shapes != expected or len(states[0]) > self.block.lanes:
            raise ValueError(
                f"states are {shapes}; expected {expected} with at most {self.block.lanes} lanes"
            )
        for layer, state in zip(self.layers, states, strict=True):
            layer.state.zero_()
            layer.state[:, : len(state)] = state
        self._live, self._slot = len(states[0]), None

    def train_block(
        self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """Train the T steps of a planned block; returns their losses (T,), on the device.

        `learning_rates` (T,) are needed exactly where the Config has a schedule.

        Raises:
            ValueError: a block of more steps than `block_steps`, or of other lanes or samples;
                rates that are missing, or that no schedule asks for.
        """
        steps, lanes = len(block), block.inputs.shape[1]
        if lanes != self.block.lanes:
            raise ValueError(f"the block has {lanes} lanes; expected {self.block.lanes}")
        if (learning_rates is not None) != (len(self.update.options.learning_rate) == 0):
            raise ValueError("learning_rates are given without a schedule, or missing with one")
        with torch.cuda.device_of(self.w.theta):
            self._send(block, learning_rates)
            self._put_states_into(block.first_step % 2)
            self._run_steps(steps)
        self._live, self._slot = int(block.live[-1]), (block.first_step + steps) % 2
        return self.loss.losses[:steps].sum(dim=1) / lanes

    def _put_states_into(self, slot: int) -> None:
        """Copy the states if the next step reads the other slot: its number does not follow."""
        if self._slot not in (None, slot):
            for layer in self.layers:
                layer.state[slot].copy_(layer.state[1 - slot])

    def _send(self, block: StepBlock, learning_rates: NDArray[np.float64] | None) -> None:
        if self.upload is None:
            pack_block(block, self.block.rows, self.block.records.numpy(), learning_rates)
        else:
            self.upload.send(block, learning_rates)

    def _run_steps(self, steps: int) -> None:
        whole = 0  # steps that graphs train; without them, and while kernels compile, none
        if self.upload is not None and self.warm:
            most = len(self.block.records)
            whole = steps if steps == most else steps // GRAPH_STEPS * GRAPH_STEPS
            size = most if steps == most else GRAPH_STEPS
            for first in range(0, whole, size):
                self.graph(first, first + size).replay()
        for t in range(whole, steps):
            self.launch_step(t)
        self.warm = True

    def graph(self, first: int, end: int) -> torch.cuda.CUDAGraph:
        """The graph of some steps of the block, captured when it is first asked for."""
        if (first, end) in self.graphs:
            return self.graphs[first, end]
        if self._capture_stream is None:
            # torch's own stream for captures is on the device that was current at its first one.
            self._capture_stream = torch.cuda.Stream(self.w.theta.device)
        graph, stream = torch.cuda.CUDAGraph(), self._capture_stream
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            for t in range(first, end):
                self.launch_step(t)
        self.graphs[first, end] = graph
        return graph

    def launch_step(self, t: int = 0) -> None:
        """Launch the kernels of step t of the block, in order."""
        context, loss, top = self.context, self.loss, self.layers[-1]
        for layer in self.layers:
            layer.forward(t)
        sampled_loss(
            context, t, top.state, self.w.theta, self.bias.theta, self.correction, loss,
            self.options,
        )  # fmt: skip
        row_gradients(
            context, t, top.state, self.w, self.bias, self.correction, loss, self.options,
            deferred=self.deferred, deferred_bias=self.deferred_bias, shared=self.shared,
        )  # fmt: skip
        d_state, rows_a_part = loss.d_state, context.tiles.gradient_rows
        for layer in reversed(self.layers):
            d_state = layer.backward(t, d_state, rows_a_part)
            rows_a_part = 0
        rows = InputRows(self.table, d_state, self.deferred if self.shared else None)
        for layer in reversed(self.layers):
            layer.update(t, rows if layer is self.layers[0] else None)
        for each in self.row_updates.values():
            each.launch(context, t, self.update)


def _known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        names = " or ".join(repr(each) for each in known)
        raise ValueError(
            f"{what} is {name!r}; expected {names}: train with the reference for any other"
        )


def _parameters(
    spec: NetworkSpec,
    p: dict[str, Tensor],
    state: list[dict[str, Tensor]],
    state_kinds: dict[str, str],
) -> dict[str, Parameter]:
    """Every parameter of the network with its state, all checked."""
    if len(state) != len(state_kinds):
        names = ", ".join(state_kinds) or "none"
        raise ValueError(f"there are {len(state)} state tables; expected {names}")
    found = dict(zip(("parameter", *state_kinds), (p, *state), strict=True))
    for kind, tensors in found.items():
        if missing := spec.parameters.keys() - tensors.keys():
            raise ValueError(f"{kind} of {', '.join(sorted(missing))} is missing; expected it")
    device = p["Wy.weight"].device
    for kind, tensors in found.items():
        for name, shape in spec.parameters.items():
            if state_kinds.get(kind) == "row":
                shape = (*shape[:1], 1)[: len(shape)]
            check(f"{kind} {name}", tensors[name], shape, torch.float32, device)
    return {
        name: Parameter(p[name].detach(), tuple(table[name].detach() for table in state))
        for name in spec.parameters
    }


def _row_updates(
    spec: NetworkSpec, parameters: dict[str, Parameter], rows: int
) -> dict[str, RowUpdate]:
    """The update of each parameter by whole rows, with room for its gradient."""
    updates = {}
    for name, parameter in parameters.items():
        shape = tuple(parameter.theta.shape)
        if name in spec.tables:
            shape = (rows, *shape[1:])
        check_offsets(f"the gradient of {name}", *shape)
        scored, inputs = name in ("Wy.weight", "By.weight"), name == spec.input_table
        gradient = parameter.theta.new_zeros(shape)
        updates[name] = RowUpdate(parameter, gradient, scored, inputs)
    return updates


def _layers(
    context: StepContext, spec: NetworkSpec, parameters: dict[str, Parameter]
) -> list[Layer]:
    """The layers from the input up; each reads the input table or the state of the layer below."""
    layers: list[Layer] = []
    source, dropout_x = parameters[spec.input_table].theta, spec.input_dropout
    for layer in spec.layers:
        weights = [parameters[name] for name in layer.weights]
        layers.append(CELLS[layer.cell](context, weights, source, dropout_x, layer.dropout))
        source, dropout_x = layers[-1].state, NO_DROPOUT
    return layers
