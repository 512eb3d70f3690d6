"""What a buffer was left with never counts: kernels read what this step wrote, of live lanes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gru4rec_fast.config import Config
from tests.kernels.cases import (
    ONE_HOT,
    SEPARATE,
    Run,
    assert_same_training,
    by_reference,
    initial_states,
    model,
    planned_block,
    training_step,
    zero_state,
)

KEPT = ("state", "source")
"""Of a layer's tensors those that are no scratch."""


@pytest.mark.parametrize("optimiser", [{}, {"adapt": "adagrad-rowwise"}], ids=["fused", "rows"])
@pytest.mark.parametrize(
    "embedding",
    [{}, SEPARATE, ONE_HOT, {**ONE_HOT, "layers": (9, 5)}],
    ids=["shared", "separate", "one-hot", "one-hot-two-layers"],
)
def test_training_in_buffers_full_of_nan(
    embedding: dict[str, Any], optimiser: dict[str, Any], device: torch.device
) -> None:
    config = Config(**{"layers": (9,), "batch_size": 8, "n_sample": 5, **embedding, **optimiser})
    block = planned_block(50, config, steps=9, n_sessions=6, seed=1)
    assert block.live[-1] < block.live[0] < config.batch_size
    support, p = torch.arange(1, 51), model(config, 50, device)
    truth = by_reference(p, config, [block], support)
    state = zero_state(p, config)
    step = training_step(p, state, config, len(block), support)
    states = initial_states(config, block)
    step.states = [each.to(device) for each in states]
    loss = step.loss
    scratch = [*vars(loss).values(), step.deferred]
    for layer in step.layers:
        kept = {name: value for name, value in vars(layer).items() if name not in KEPT}
        scratch += [value for value in kept.values() if isinstance(value, torch.Tensor)]
        layer.state[:, len(states[0]) :] = torch.nan
    scratch += [each.gradient for each in step.row_updates.values()]
    for buffer in scratch:
        buffer.fill_(torch.nan)
    losses = step.train_block(block)
    assert_same_training(Run(p, state, step.states, losses.tolist()), truth)


def test_a_loss_too_large_for_its_offsets_is_refused(device: torch.device) -> None:
    from gru4rec_fast.kernels._tuning import tiles_for
    from gru4rec_fast.kernels.device_block import DeviceBlock
    from gru4rec_fast.kernels.losses import LOSSES
    from gru4rec_fast.kernels.sampled_loss import LossBuffers

    records = torch.zeros((1, 1), dtype=torch.int32, device=device)
    wide = DeviceBlock(records, lanes=4096, rows=2**19)
    with pytest.raises(ValueError, match=r"scores would be \(4096, 524288\), 2,147,483,648 elem"):
        LossBuffers.empty(wide, LOSSES["cross-entropy"], 64, tiles_for(4096, "tf32"))
    deep = DeviceBlock(records, lanes=8, rows=2**20)
    with pytest.raises(ValueError, match="gradient of the scored rows would be"):
        LossBuffers.empty(deep, LOSSES["cross-entropy"], 2048, tiles_for(8, "tf32"))
