"""Twenty training steps of the engine against a 64-bit run of the reference, option by option."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from gru4rec_fast.optim import Adagrad
from torch import Tensor

from gru4rec_fast import _core, ops, reference
from gru4rec_fast.config import Config
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from tests.logs import random_log

if TYPE_CHECKING:
    from gru4rec_fast.plan.block import StepBlock

STEPS = 20
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "shared": {"constrained_embedding": True},
    "separate": {"constrained_embedding": False, "embedding": 10},
    "one-hot": {"constrained_embedding": False},
}
LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"loss": "cross-entropy", "logq": 1.0},
    "bpr-max": {"loss": "bpr-max", "elu_param": 0.5, "bpreg": 1.2},
}
DROPOUTS: dict[str, dict[str, Any]] = {
    "no-dropout": {},
    "dropout": {"dropout_p_embed": 0.25, "dropout_p_hidden": 0.4},
}
LAYERS = {"one-layer": (12,), "two-layers": (12, 9)}
MOMENTA = {"plain": 0.0, "momentum": 0.3}

OPTIONS = [
    pytest.param(
        {
            **EMBEDDINGS[e],
            **LOSSES[loss],
            **DROPOUTS[d],
            "layers": LAYERS[n],
            "momentum": MOMENTA[m],
        },
        id="-".join((e, loss, d, n, m)),
    )
    for e, loss, d, n, m in itertools.product(EMBEDDINGS, LOSSES, DROPOUTS, LAYERS, MOMENTA)
]


def planned_block(sessions: Sessions, config: Config) -> StepBlock:
    """The last steps of an epoch are among them, in which lanes die."""
    sampler = negative_sampler(sessions.support, config.sample_alpha)
    with plan_epoch(
        sessions,
        sampler,
        batch_size=config.batch_size,
        n_sample=config.n_sample,
        seed=config.seed,
        first_step=0,
        block_steps=STEPS,
    ) as blocks:
        block = next(blocks)
    assert len(block) == STEPS
    assert block.live[-1] < config.batch_size
    return block


def reference_run(
    network: Network, block: StepBlock, support: Tensor, config: Config
) -> tuple[list[float], dict[str, Tensor]]:
    """The same steps in float64, written from the reference's parts alone."""
    p = {name: value.double() for name, value in network.parameter_dict().items()}
    a = {name: torch.zeros_like(value) for name, value in p.items()}
    m = {name: torch.zeros_like(value) for name, value in p.items()}
    states = [torch.zeros(config.batch_size, h, dtype=torch.float64) for h in config.layers]
    losses = []
    for t, live in enumerate(block.live):
        inputs = torch.from_numpy(block.inputs[t, :live]).long()
        targets = torch.from_numpy(block.targets[t, :live]).long()
        columns = torch.cat([targets, torch.from_numpy(block.negatives[t]).long()])
        source = torch.from_numpy(block.source[t, :live]).long()
        restarts = torch.from_numpy(block.restarts[t, :live]).bool()
        masks = [
            torch.from_numpy(_core.dropout_mask(config.seed, t, site, live, width, rate)).double()
            if rate > 0
            else None
            for site, (width, rate) in enumerate(reference.dropout_sites(p, config))
        ]
        loss, states, gradients = reference.loss_and_gradients(
            p,
            [reference.carry(h, source, restarts) for h in states],
            columns,
            reference.touched_rows(p, inputs, columns),
            masks,
            support,
            config,
        )
        losses.append(float(loss))
        for name, g in gradients.items():
            momentum_buffer = m[name] if config.momentum > 0 else None
            settings = (config.learning_rate, config.momentum)
            if g.rows is None:
                reference.adagrad(p[name], a[name], momentum_buffer, g.values, *settings)
            else:
                reference.sparse_adagrad(
                    p[name], a[name], momentum_buffer, g.rows, g.values, *settings
                )
    return losses, p


@pytest.mark.parametrize("options", OPTIONS)
def test_twenty_steps(options: dict[str, Any]) -> None:
    config = Config().replace(**options, batch_size=8, n_sample=40, learning_rate=0.1)
    sessions = load_sessions(random_log(n_sessions=32, n_items=60, longest=9))
    block = planned_block(sessions, config)
    network = Network(config, sessions.n_items)
    network.initialise()
    support = torch.from_numpy(sessions.support)
    expected_losses, expected = reference_run(network, block, support, config)

    p = network.parameter_dict()
    states = [torch.zeros(config.batch_size, h) for h in config.layers]
    losses = ops.train_block(p, Adagrad(p, config), states, block, support, config)

    np.testing.assert_allclose(losses.numpy(), expected_losses, rtol=1e-5)
    initial = Network(config, sessions.n_items)
    initial.initialise()
    for name, value in expected.items():
        scale = float(value.abs().max())
        assert float((p[name].double() - value).abs().max()) <= 1e-4 * scale, name
        moved = (value - initial.parameter_dict()[name].double()).abs().max()
        assert float(moved) > 1e-2 * scale, f"{name} was not trained"


def test_the_length_of_blocks_changes_nothing() -> None:
    config = Config().replace(
        layers=(12,), batch_size=8, n_sample=16, dropout_p_hidden=0.3, momentum=0.2
    )
    sessions = load_sessions(random_log())
    sampler = negative_sampler(sessions.support, config.sample_alpha)
    support = torch.from_numpy(sessions.support)
    results = []
    for block_steps in (1, 3, 1000):
        network = Network(config, sessions.n_items)
        network.initialise()
        p = network.parameter_dict()
        optimiser = Adagrad(p, config)
        states = [torch.zeros(config.batch_size, h) for h in config.layers]
        with plan_epoch(
            sessions,
            sampler,
            batch_size=config.batch_size,
            n_sample=config.n_sample,
            seed=config.seed,
            first_step=0,
            block_steps=block_steps,
        ) as blocks:
            for block in blocks:
                ops.train_block(p, optimiser, states, block, support, config)
        results.append(p)
    for other in results[1:]:
        assert all(torch.equal(results[0][name], other[name]) for name in other)
