"""A step: gradients of touched rows against those of whole tables, dropout sites, touched rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.model.network import Network
from gru4rec_fast.spec import NetworkSpec
from tests.tensors import EXACT, random

MODES: dict[str, dict[str, Any]] = {
    "shared": {"constrained_embedding": True},
    "separate": {"constrained_embedding": False, "embedding": 5},
    "one-hot": {"constrained_embedding": False},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", reference.LOSSES)
def test_row_gradients_are_those_of_the_whole_tables(mode: str, loss: str) -> None:
    """Items repeated among inputs, targets and samples: their gradients meet in one row."""
    config = Config().replace(
        **MODES[mode], layers=(4, 6), loss=loss, batch_size=4, n_sample=5, logq=1.0
    )
    n_items, m = 12, 3
    network = Network(config, n_items)
    network.initialise(compatibility_mode=False)
    p = {name: value.double() for name, value in network.parameter_dict().items()}
    p["By.weight"] = random(n_items, 1, seed=9)
    support = torch.arange(1, n_items + 1)
    inputs, targets = torch.tensor([2, 2, 7]), torch.tensor([7, 3, 2])
    negatives = torch.tensor([3, 3, 2, 11, 0])
    columns = torch.cat([targets, negatives])
    states = [random(m, 4, seed=1), random(m, 6, seed=2)]
    masks = [None, random(m, 4, seed=3).abs(), None]
    loss_value, new_states, gradients = reference.loss_and_gradients(
        network.spec,
        p,
        states,
        columns,
        reference.touched_rows(network.spec, inputs, columns),
        masks,
        support,
        config,
    )

    whole = {name: value.clone().requires_grad_() for name, value in p.items()}
    x = whole[network.spec.input_table][inputs]
    hidden, features = reference.advance(network.spec, whole, x, states, masks)
    s = reference.scores(features, whole["Wy.weight"][columns], whole["By.weight"][columns])
    if loss == "cross-entropy":
        s = reference.correct_logq(s, support, columns, 1.0, config.sample_alpha)
    s = reference.activate(s, config.score_activation)
    expected = reference.LOSSES[loss](s, config).sum() / 4  # B, though three lanes live
    expected.backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(loss_value, expected.detach(), **EXACT)
    for ours, theirs in zip(new_states, hidden, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), **EXACT)
    assert gradients.keys() == whole.keys()
    for name, gradient in gradients.items():
        dense = whole[name].grad
        assert dense is not None
        if gradient.rows is None:
            torch.testing.assert_close(gradient.values, dense, **EXACT)
        else:
            assert len(torch.unique(gradient.rows)) == len(gradient.rows)
            spread = torch.zeros_like(dense)
            spread[gradient.rows] = gradient.values
            torch.testing.assert_close(spread, dense, **EXACT)


@pytest.mark.parametrize("mode", MODES)
def test_a_mask_of_zeros_silences_its_site_alone(mode: str) -> None:
    network = Network(Config().replace(**MODES[mode], layers=(4, 6)), 12)
    network.initialise()
    p = network.parameter_dict()
    x = p[network.spec.input_table][torch.tensor([2, 7])]
    states = [torch.ones(2, 4), torch.ones(2, 6)]

    def advanced(silenced: int | None, x: Tensor = x) -> list[Tensor]:
        masks = [torch.zeros(1) if site == silenced else None for site in range(3)]
        return reference.advance(network.spec, p, x, states, masks)[0]

    undisturbed = advanced(None)
    last = advanced(2)
    assert torch.equal(last[0], undisturbed[0])
    assert not last[1].any()
    if mode == "one-hot":
        assert not advanced(0)[0].any()
    else:
        assert not advanced(1)[0].any()
        assert torch.equal(advanced(0)[0], advanced(None, torch.zeros_like(x))[0])
        assert not torch.equal(advanced(0)[0], undisturbed[0])


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("shared", {"Wy.weight": [1, 2, 5], "By.weight": [1, 2]}),
        ("separate", {"Wy.weight": [1, 2], "By.weight": [1, 2], "E.weight": [5]}),
        ("one-hot", {"Wy.weight": [1, 2], "By.weight": [1, 2], "GE.Wx0.weight": [5]}),
    ],
)
def test_a_step_touches_the_rows_of_its_inputs_and_of_its_columns(
    mode: str, rows: dict[str, list[int]]
) -> None:
    """An item that is an input alone has no score, so its bias stays as it is."""
    spec = NetworkSpec.of(Config().replace(**MODES[mode], layers=(4,)), 9)
    touched = reference.touched_rows(spec, torch.tensor([5]), torch.tensor([1, 2]))
    assert {name: t.rows.tolist() for name, t in touched.items()} == rows
