"""The published settings on generated sessions, and what a step of them is measured against.

`engine` trains planned steps by an engine. `plain` trains the same steps as a good PyTorch
user would write them: sparse gradients, coalesced, and Adagrad with momentum on their rows. `floor`
is a step's matrix products alone, all N columns, through torch.mm(out=...) or numpy.matmul.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast._core import Int32, Int64
    from gru4rec_fast.plan.block import StepBlock

WORKLOADS: dict[str, Config] = {
    "rsc15": Config().replace(**PRESETS["rsc15"]),
    "retailrocket": Config().replace(**PRESETS["retailrocket"]),
    "rees46": Config().replace(**PRESETS["rees46"]),
    "2016": Config().replace(
        layers=(100,), batch_size=50, n_sample=0, constrained_embedding=False, learning_rate=0.05
    ),
}
N_ITEMS = {"rsc15": 40_000, "rees46": 180_000}
"""V at which GPUs and the planning of these settings are measured."""


@dataclass(frozen=True)
class GeneratedSessions:
    """Sessions of 2 to 10 events whose items follow a Zipf law over V items."""

    items: Int32
    offsets: Int64
    order: Int64
    support: Int64

    @classmethod
    def draw(cls, n_items: int, n_events: int, seed: int = 0) -> GeneratedSessions:
        """About that many events of a catalogue of V items."""
        rng = np.random.default_rng(seed)
        lengths = rng.integers(2, 11, n_events // 6)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        cumulative = np.cumsum(1 / (np.arange(n_items) + 10.0))
        code = rng.permutation(n_items).astype(np.int32)
        items = code[np.searchsorted(cumulative, rng.random(offsets[-1]) * cumulative[-1])]
        # What a log of 30 events an item would hold, rather than the few that the benchmark runs.
        support = np.empty(n_items, np.int64)
        support[code] = np.maximum(
            1, np.diff(cumulative, prepend=0.0) / cumulative[-1] * 30 * n_items
        )
        return cls(items, offsets, np.arange(len(lengths), dtype=np.int64), support)


class Workload:
    """A setting, by its name or its options, with V items and T planned steps."""

    def __init__(self, setting: str | Config, n_items: int, steps: int) -> None:
        config = WORKLOADS[setting] if isinstance(setting, str) else setting
        self.config = config
        self.n_items = n_items
        sessions = GeneratedSessions.draw(n_items, 3 * steps * config.batch_size + 1000)
        self.support = torch.from_numpy(sessions.support)
        with plan_epoch(
            sessions,
            negative_sampler(sessions.support, config.sample_alpha),
            batch_size=config.batch_size,
            n_sample=config.n_sample,
            seed=config.seed,
            first_step=0,
            block_steps=steps,
        ) as blocks:
            self.block: StepBlock = next(blocks)
        self.steps = len(self.block)
        self.network = Network(config, n_items)
        self.network.initialise()
        self.p = self.network.parameter_dict()

    def engine(self, name: str = "cpu") -> Callable[[], None]:
        """Trains all steps by an engine."""
        optimiser = reference.OPTIMISERS[self.config.adapt](self.config)
        trainer = ENGINES[name].trainer(
            self.network.spec, self.p, optimiser, self.config, self.support
        )
        trainer.start_epoch()

        def run() -> None:
            trainer.train_block(self.block)

        return run

    def plain(self, steps: int) -> Callable[[], None]:
        """Trains the first steps as plain PyTorch."""
        return PlainPyTorch(self, steps)

    def floor(self, steps: int, library: str = "torch") -> Callable[[], None]:
        """The matrix products of that many steps, by 'torch' (torch.mm) or 'numpy' (matmul)."""
        config = self.config
        B, H, N = config.batch_size, config.layers[-1], config.batch_size + config.n_sample
        one_hot = self.network.spec.one_hot
        sizes = ((B, H), (N, H), (B, N), (3 * H, H), (B, 3 * H), (B, H), (N, H), (3 * H, H))
        mm: Any = torch.mm
        operands: Any = [torch.randn(size) for size in sizes]
        if library == "numpy":
            mm, operands = np.matmul, [x.numpy() for x in operands]
        h, w, s, w_ih, g, d_h, d_w, d_ih = operands

        def run() -> None:
            for _ in range(steps):
                if not one_hot:  # the input's products: forward, back to the input, to its weights
                    mm(h, w_ih.T, out=g)
                    mm(g, w_ih, out=d_h)
                    mm(g.T, h, out=d_ih)
                mm(h, w_ih.T, out=g)
                mm(g.T, h, out=d_ih)
                mm(h, w.T, out=s)
                mm(s, w, out=d_h)
                mm(s.T, h, out=d_w)

        return run


class PlainPyTorch:
    """The same training in plain PyTorch."""

    def __init__(self, workload: Workload, steps: int) -> None:
        self.config, self.spec = workload.config, workload.network.spec
        self.optimiser = reference.Adagrad(self.config)
        self.p = {name: value.clone() for name, value in workload.p.items()}
        self.a = {name: torch.zeros_like(value) for name, value in self.p.items()}
        self.m = {name: torch.zeros_like(value) for name, value in self.p.items()}
        self.states = [torch.zeros(self.config.batch_size, h) for h in self.config.layers]
        # What a data loader would hand over; not part of the step.
        block = workload.block
        self.steps = [
            (
                torch.from_numpy(block.inputs[t, : block.live[t]]).long(),
                torch.from_numpy(
                    np.concatenate([block.targets[t, : block.live[t]], block.negatives[t]])
                ).long(),
                torch.from_numpy(block.source[t, : block.live[t]]).long(),
                torch.from_numpy(block.restarts[t, : block.live[t]]).bool(),
            )
            for t in range(steps)
        ]
        self.log_q = torch.log(workload.support.float())
        for value in self.p.values():
            value.requires_grad_()

    def __call__(self) -> None:
        """Train all steps."""
        for step in self.steps:
            self.step(*step)

    def step(self, inputs: Tensor, columns: Tensor, source: Tensor, restarts: Tensor) -> None:
        """Forward, backward, update."""
        config, p = self.config, self.p
        m = len(inputs)
        states = [reference.carry(h, source, restarts) for h in self.states]
        if self.spec.shared:
            both = F.embedding(torch.cat([inputs, columns]), p["Wy.weight"], sparse=True)
            x, w = both[:m], both[m:]
        else:
            x = F.embedding(inputs, p[self.spec.input_table], sparse=True)
            w = F.embedding(columns, p["Wy.weight"], sparse=True)
        b = F.embedding(columns, p["By.weight"], sparse=True)
        if config.dropout_p_embed > 0:
            x = F.dropout(x, config.dropout_p_embed)
        if self.spec.one_hot:
            h = reference.gru_reset_before(x, states[0], p["GE.Wrz0"], p["GE.Wh0"], p["GE.Bh0"])
        else:
            h = torch.gru_cell(x, states[0], *(p[f"G.0.{n}"] for n in CELL))
        if config.dropout_p_hidden > 0:
            h = F.dropout(h, config.dropout_p_hidden)
        s = torch.addmm(b.T, h, w.T)
        if config.loss == "cross-entropy":
            if config.logq > 0:
                log_q = self.log_q[columns]
                log_q[m:] *= config.sample_alpha
                s = s - config.logq * log_q
            loss = F.cross_entropy(s, torch.arange(m), reduction="sum") / config.batch_size
        else:
            s = reference.activate(s, config.score_activation)
            loss = reference.LOSSES[config.loss](s, config).sum() / config.batch_size
        loss.backward()  # type: ignore[no-untyped-call]
        self.states = [h.detach()]
        with torch.no_grad():
            for name, value in p.items():
                self.update(name, value)

    def update(self, name: str, value: Tensor) -> None:
        """Adagrad with momentum, of a table on the rows of its gradient."""
        gradient = value.grad
        assert gradient is not None
        state = [self.a[name], self.m[name]][: len(self.optimiser.state_kinds)]
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            rows, g = gradient.indices()[0], gradient.values()
            reference.update_rows(self.optimiser, value, state, rows, g)
        else:
            self.optimiser.update(value, state, gradient)
        value.grad = None


CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
