"""Every loss with every score activation, and every optimiser, in whole training steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gru4rec_fast import reference
from gru4rec_fast.activation import PARAMETERS
from gru4rec_fast.config import LOSSES, OPTIMISERS, Config
from gru4rec_fast.engines.triton import TritonEngine
from gru4rec_fast.kernels import losses, optimisers
from gru4rec_fast.kernels.activations import ACTIVATIONS
from gru4rec_fast.spec import NetworkSpec
from tests.kernels.cases import (
    ONE_HOT,
    SEPARATE,
    assert_same_training,
    by_kernels,
    by_reference,
    check_training,
    model,
    planned_block,
)

NAMES = ("linear", "relu", "tanh", "leaky-0.1", "elu-0.7", "selu-1.05-1.67")
WITH_ACTIVATION = [loss for loss in LOSSES if loss != "cross-entropy"]
ALL: dict[str, Any] = {"momentum": 0.3, "lmbd": 0.01}
TOLERANCES = {optimiser: 1e-3 if optimiser == "adam" else 1e-5 for optimiser in OPTIMISERS}
"""Adam divides a gradient by its own size, so a small one's rounding error becomes a large one."""


def test_the_kernels_have_every_part_of_the_reference() -> None:
    assert losses.LOSSES.keys() == reference.LOSSES.keys()
    assert optimisers.OPTIMISERS.keys() == reference.OPTIMISERS.keys()
    assert ACTIVATIONS.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("activation", NAMES)
@pytest.mark.parametrize("loss", WITH_ACTIVATION)
def test_losses_and_activations(loss: str, activation: str, device: torch.device) -> None:
    check_training(device, steps=2, layers=(9,), loss=loss, final_act=activation)


@pytest.mark.parametrize("options", [{}, {"logq": 0.7}], ids=["plain", "logq"])
def test_label_smoothing(options: dict[str, Any], device: torch.device) -> None:
    check_training(device, steps=2, layers=(9,), smoothing=0.2, **options)


@pytest.mark.parametrize("loss", [{"loss": "bpr"}, {"loss": "top1"}, {"smoothing": 0.2}], ids=str)
def test_the_number_of_columns_falls_with_the_lanes(
    loss: dict[str, Any], device: torch.device
) -> None:
    block = check_training(
        device, n_sessions=9, steps=6, layers=(9,), batch_size=8, n_sample=0, seed=1, **loss
    )
    assert block.live[-1] < block.live[0]


@pytest.mark.parametrize(
    "options",
    [{}, ALL, {**ALL, **SEPARATE}, {**ALL, **ONE_HOT}],
    ids=["plain", "momentum-and-l2", "separate", "one-hot"],
)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_optimisers(optimiser: str, options: dict[str, Any], device: torch.device) -> None:
    tolerance = TOLERANCES[optimiser]
    check_training(device, steps=3, layers=(9,), adapt=optimiser, tolerance=tolerance, **options)


def test_numbers_of_the_optimiser(device: torch.device) -> None:
    for adapt, numbers in (("adam", (0.0, 0.5)), ("rmsprop", (0.3,)), ("adadelta", (0.0,))):
        tolerance = TOLERANCES[adapt]
        check_training(device, layers=(9,), adapt=adapt, adapt_params=numbers, tolerance=tolerance)


@pytest.mark.parametrize("embedding", [{}, SEPARATE], ids=["shared", "separate"])
def test_whole_rows_of_two_layers_and_many_tiles(
    embedding: dict[str, Any], device: torch.device
) -> None:
    check_training(
        device, n_items=300, layers=(20, 7), batch_size=70, n_sample=150, n_sessions=90, steps=2,
        adapt="adagrad-rowwise", momentum=0.2, **embedding,
    )  # fmt: skip


@pytest.mark.parametrize("embedding", [{}, SEPARATE], ids=["shared", "separate"])
def test_rows_of_an_earlier_block_are_not_updated(
    embedding: dict[str, Any], device: torch.device
) -> None:
    """Many unique rows, then few: the record still has the first block's rows behind the others."""
    config = Config(
        layers=(9,), batch_size=6, n_sample=16, adapt="adagrad-rowwise", **ALL, **embedding
    )
    wide = planned_block(200, config, steps=2)
    narrow = planned_block(4, config, steps=2, seed=1)
    assert narrow.rows.shape[1] < wide.scored.min()
    support, p = torch.arange(1, 201), model(config, 200, device)
    truth = by_reference(p, config, [wide, narrow], support)
    assert_same_training(by_kernels(p, config, [wide, narrow], support), truth)


@pytest.mark.parametrize("optimiser", ["adam", "adagrad-rowwise"])
def test_a_run_is_repeatable(optimiser: str, device: torch.device) -> None:
    config = Config(layers=(9,), batch_size=6, n_sample=16, adapt=optimiser, loss="top1-max")
    block, support = planned_block(50, config, steps=2), torch.arange(1, 51)
    p = model(config, 50, device)
    runs = [
        by_kernels({name: value.clone() for name, value in p.items()}, config, [block], support)
        for _ in range(2)
    ]
    assert runs[0].losses == runs[1].losses
    assert all(torch.equal(value, runs[1].p[name]) for name, value in runs[0].p.items())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        *(({"loss": loss, "final_act": "auto"}, None) for loss in LOSSES),
        *(({"adapt": optimiser, "momentum": 0.1, "lmbd": 0.1}, None) for optimiser in OPTIMISERS),
        ({"loss": "bpr", "final_act": "selu-1.05-1.67"}, None),
        ({"smoothing": 0.1, "logq": 1.0}, None),
        ({"adapt": "adam", "adapt_params": (0.8, 0.9)}, None),
        ({"grad_cap": 1.0}, "it does not know grad_cap=1.0"),
        ({"cell": "lstm"}, "it has no cell 'lstm'"),
        ({"cell": "rnn"}, "it has no cell 'rnn'"),
        ({"reset": "before"}, "it has no cell 'gru-reset-before'"),
        ({**ONE_HOT, "reset": "after"}, "it has no cell 'gru-reset-after' of a one-hot input"),
        ({**ONE_HOT, "hidden_act": "relu"}, "it does not know hidden_act='relu'"),
        ({"feed_forward": (5,)}, "it does not know feed_forward=(5,)"),
    ],
    ids=str,
)
def test_what_the_engine_trains(options: dict[str, Any], reason: str | None) -> None:
    config = Config(layers=(9,), **options)
    optimiser = reference.OPTIMISERS[config.adapt](config)
    spec, device = NetworkSpec.of(config, 50), torch.device("cuda")
    assert TritonEngine().supports(spec, optimiser, config, device, torch.float32) == reason


def test_the_optimiser_gives_its_own_rate(device: torch.device) -> None:
    """Of Adadelta the rate is 1, whatever the configuration says."""
    configs = [Config(layers=(9,), batch_size=6, n_sample=16, adapt="adadelta", learning_rate=rate)
               for rate in (0.1, 7.0)]  # fmt: skip
    block, support = planned_block(50, configs[0], steps=2), torch.arange(1, 51)
    runs = [by_kernels(model(c, 50, device), c, [block], support) for c in configs]
    np.testing.assert_array_equal(runs[0].losses, runs[1].losses)
