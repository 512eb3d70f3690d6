"""The specification itself: against torch's own cells and losses, plain loops, and gradcheck."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.config import LOSSES, Config
from gru4rec_fast.model.network import Network
from gru4rec_fast.spec import NetworkSpec

EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_gru_reset_after_is_torchs_cell() -> None:
    cell = torch.nn.GRUCell(5, 7).double()
    x, h = random(3, 5), random(3, 7, seed=1)
    ours = reference.gru_reset_after(
        x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    )
    torch.testing.assert_close(ours, cell(x, h), **EXACT)


def test_gru_reset_before_follows_the_papers_equations() -> None:
    units = 4
    wx, h, b = random(3, 3 * units), random(3, units, seed=1), random(3 * units, seed=2)
    w_rz, w_h = random(units, 2 * units, seed=3), random(units, units, seed=4)
    ours = reference.gru_reset_before(wx, h, w_rz, w_h, b)

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    for lane in range(3):
        rz = [[float(h[lane] @ w_rz[:, gate * units + j]) for j in range(units)] for gate in (0, 1)]
        r = [sigma(float(wx[lane, units + j] + b[units + j]) + rz[0][j]) for j in range(units)]
        z = [
            sigma(float(wx[lane, 2 * units + j] + b[2 * units + j]) + rz[1][j])
            for j in range(units)
        ]
        for j in range(units):
            recurrent = sum(r[i] * float(h[lane, i]) * float(w_h[i, j]) for i in range(units))
            n = math.tanh(float(wx[lane, j] + b[j]) + recurrent)
            expected = (1 - z[j]) * float(h[lane, j]) + z[j] * n
            assert float(ours[lane, j]) == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_is_torchs() -> None:
    s = random(4, 9)
    expected = F.cross_entropy(s, torch.arange(4), reduction="none")
    torch.testing.assert_close(reference.cross_entropy(s), expected, **EXACT)


def test_cross_entropy_stays_finite_at_extreme_scores() -> None:
    s = torch.tensor([[-500.0, 500.0]], dtype=torch.float64)
    assert float(reference.cross_entropy(s)) == pytest.approx(-math.log(1e-24))


@pytest.mark.parametrize("bpreg", [0.0, 1.5])
def test_bpr_max_is_the_papers_formula(bpreg: float) -> None:
    s = random(3, 6)
    for i in range(3):
        negatives = [j for j in range(6) if j != i]
        total = sum(math.exp(s[i, j]) for j in negatives)
        w = {j: math.exp(s[i, j]) / total for j in negatives}
        likelihood = sum(w[j] / (1 + math.exp(s[i, j] - s[i, i])) for j in negatives)
        expected = -math.log(likelihood) + bpreg * sum(w[j] * s[i, j] ** 2 for j in negatives)
        assert float(reference.bpr_max(s, bpreg)[i]) == pytest.approx(float(expected), rel=1e-12)


def test_elu_of_parameter_zero_is_linear() -> None:
    s = random(2, 5)
    assert torch.equal(reference.elu(s, 0.0), s)
    assert float(reference.elu(torch.tensor([-1.0]), 0.5)) == pytest.approx(
        0.5 * (math.exp(-1) - 1)
    )


def test_logq_takes_support_of_targets_and_smoothed_support_of_samples() -> None:
    s, support = random(2, 5), torch.tensor([1, 10, 100, 1000])
    columns = torch.tensor([1, 3, 3, 0, 2])
    corrected = reference.correct_logq(s, support, columns, logq=0.7, alpha=0.5)
    q = torch.tensor([10, 1000, 1000**0.5, 1, 100**0.5], dtype=torch.float64)
    torch.testing.assert_close(corrected, s - 0.7 * torch.log(q), **EXACT)


def test_config_and_reference_name_the_same_losses() -> None:
    assert set(LOSSES) == set(reference.LOSSES)


def test_losses_and_cells_have_the_gradients_of_their_values() -> None:
    """float64 gradients against finite differences."""
    s = random(3, 7).requires_grad_()
    units, width = 3, 2
    after = [
        t.requires_grad_()
        for t in (
            random(2, width),
            random(2, units, seed=1),
            random(3 * units, width, seed=2),
            random(3 * units, units, seed=3),
            random(3 * units, seed=4),
            random(3 * units, seed=5),
        )
    ]
    before = [
        t.requires_grad_()
        for t in (
            random(2, 3 * units),
            random(2, units, seed=1),
            random(units, 2 * units, seed=2),
            random(units, units, seed=3),
            random(3 * units, seed=4),
        )
    ]
    assert torch.autograd.gradcheck(reference.cross_entropy, (s,))
    assert torch.autograd.gradcheck(lambda x: reference.bpr_max(reference.elu(x, 0.5), 1.3), (s,))
    assert torch.autograd.gradcheck(reference.gru_reset_after, after)
    assert torch.autograd.gradcheck(reference.gru_reset_before, before)


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
    hidden = reference.advance(network.spec, whole, x, states, masks)
    s = reference.scores(hidden[-1], whole["Wy.weight"][columns], whole["By.weight"][columns])
    if loss == "cross-entropy":
        s = reference.correct_logq(s, support, columns, 1.0, config.sample_alpha)
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
        return reference.advance(network.spec, p, x, states, masks)

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


def test_a_lane_carries_the_state_of_its_source_or_restarts_from_zero() -> None:
    state = random(4, 3)
    source, restarts = torch.tensor([2, 0, 3]), torch.tensor([False, True, False])
    carried = reference.carry(state, source, restarts)
    assert torch.equal(carried, torch.stack([state[2], torch.zeros_like(state[0]), state[3]]))


def test_adagrad_with_momentum_by_hand() -> None:
    theta, a, m = (torch.tensor([x], dtype=torch.float64) for x in (1.0, 0.5, -0.2))
    reference.adagrad(theta, a, m, torch.tensor([3.0], dtype=torch.float64), 0.1, 0.9)
    step = 0.9 * -0.2 - 0.1 * 3.0 / math.sqrt(9.5 + 1e-6)
    assert float(a) == pytest.approx(9.5, rel=1e-14)
    assert float(m) == pytest.approx(step, rel=1e-14)
    assert float(theta) == pytest.approx(1.0 + step, rel=1e-14)


def test_update_rows_moves_the_given_rows_only() -> None:
    theta, a, m = random(6, 3), random(6, 3, seed=1).abs(), random(6, 3, seed=2)
    before = [t.clone() for t in (theta, a, m)]
    rows, g = torch.tensor([4, 1]), random(2, 3, seed=3)
    optimiser = reference.Adagrad(Config(learning_rate=0.1, momentum=0.5))
    reference.update_rows(optimiser, theta, [a, m], rows, g)
    others = [0, 2, 3, 5]
    for now, then in zip((theta, a, m), before, strict=True):
        assert torch.equal(now[others], then[others])
        assert not torch.equal(now[rows], then[rows])
    expected = theta_rows, a_rows, m_rows = before[0][rows], before[1][rows], before[2][rows]
    reference.adagrad(theta_rows, a_rows, m_rows, g, 0.1, 0.5)
    for now, then in zip((theta, a, m), expected, strict=True):
        assert torch.equal(now[rows], then)


TILES = [*range(1, 10), 100]


@pytest.mark.rounding
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile", TILES)
def test_equal_items_tie_whatever_the_tile(tile: int, dtype: torch.dtype) -> None:
    """Each of 12 rows stands five times, scattered; scores are no whole numbers."""
    g = torch.Generator().manual_seed(tile)
    kind = torch.randint(0, 12, (60,), generator=g)
    kind[torch.randperm(60, generator=g)] = torch.arange(12).repeat(5)
    rows, biases = torch.randn(12, 48, generator=g), torch.randn(12, 1, generator=g)
    w, b = rows[kind].to(dtype), biases[kind].to(dtype)
    features = torch.randn(7, 48, generator=g).to(dtype)
    score_tile, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    targets = torch.randint(0, 60, (7,), generator=g)
    greater, equal = reference.rank_counts(features, targets, score_tile, groups, tile)
    assert equal.tolist() == [5] * 7
    exact = features.double() @ rows.double().T + biases.double().T
    own = exact.gather(1, kind[targets][:, None])
    assert greater.tolist() == (5 * (exact > own).sum(1)).tolist()

    best, items = reference.top_k(features, 33, score_tile, groups, tile)
    order = exact.argsort(dim=1, descending=True)
    expected = [[i for k in row for i in range(60) if kind[i] == k][:33] for row in order]
    assert items.tolist() == expected
    assert all(len(set(row)) == 7 for row in best.tolist()), "equal items have different scores"


@pytest.mark.rounding
@pytest.mark.parametrize("tile", TILES)
def test_rank_counts_and_top_k_see_the_whole_catalogue(tile: int) -> None:
    g = torch.Generator().manual_seed(1)  # small whole numbers: every sum is exact
    shapes = ((5, 3), (20, 3), (20, 1))
    features, w, b = (torch.randint(-3, 4, shape, generator=g).double() for shape in shapes)
    w[7], b[7] = w[4], b[4]
    targets = torch.tensor([4, 7, 0, 19, 12])
    score_tile, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    s = features @ w.T + b.T
    own = s.gather(1, targets[:, None])
    greater, equal = reference.rank_counts(features, targets, score_tile, groups, tile)
    assert greater.tolist() == (s > own).sum(1).tolist()
    assert equal.tolist() == (s == own).sum(1).tolist()
    best, items = reference.top_k(features, 6, score_tile, groups, tile)
    order = np.argsort(-s.numpy(), axis=1, kind="stable")[:, :6]
    assert items.tolist() == order.tolist()
    assert torch.equal(best, s.gather(1, items))


def test_groups_are_the_items_of_equal_rows_and_biases() -> None:
    w = torch.tensor([[1.0, 2], [3, 4], [1, 2], [1, 2], [3, 4]])
    b = torch.tensor([[0.0], [1], [0], [5], [1]])
    groups = reference.ItemGroups.of(w, b)
    assert groups.group.tolist() == [0, 1, 0, 2, 1]
    assert groups.first.tolist() == [0, 1, 3]
    assert groups.size.tolist() == [2, 2, 1]
    assert len(reference.ItemGroups.all_different(7, torch.device("cpu"))) == 7


def test_top_k_of_equal_scores_takes_the_lower_index_and_no_more_than_there_are() -> None:
    w, b = torch.zeros(10, 2), torch.zeros(10, 1)
    score_tile = reference.item_scores(w, b)
    for groups in (
        reference.ItemGroups.of(w, b),
        reference.ItemGroups.all_different(10, torch.device("cpu")),
    ):
        _, items = reference.top_k(torch.zeros(1, 2), 4, score_tile, groups, tile=3)
        assert items.tolist() == [[0, 1, 2, 3]]
        _, items = reference.top_k(torch.zeros(1, 2), 99, score_tile, groups, tile=3)
        assert items.tolist() == [list(range(10))]
        assert reference.top_k(torch.zeros(0, 2), 4, score_tile, groups)[1].shape[0] == 0


def test_ranks_of_a_three_way_tie() -> None:
    greater, equal = torch.tensor([4]), torch.tensor([3])
    u = torch.tensor([0.5])
    ranks = {mode: float(rank(greater, equal, u)) for mode, rank in reference.RANKS.items()}
    assert ranks == {"standard": 5, "conservative": 7, "median": 6, "tiebreaking": 6}


def test_tiebreaking_is_uniform_among_the_equals() -> None:
    u = torch.linspace(0, 1, 3001, dtype=torch.float64)[:-1]
    ranks = reference.RANKS["tiebreaking"](torch.zeros(3000), torch.full((3000,), 3), u)
    assert torch.bincount(ranks.long()).tolist() == [0, 1000, 1000, 1000]


def test_session_parallel_batches_on_the_papers_figure() -> None:
    """Figure 1 of the 2016 paper: five sessions of 4, 2, 6, 3 and 3 events in three lanes."""
    lengths = [4, 2, 6, 3, 3]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = np.concatenate(
        [100 * s + np.arange(n, dtype=np.int32) for s, n in enumerate(lengths, 1)]
    )
    steps = list(reference.session_parallel_batches(items, offsets, np.arange(5), 3))
    assert [step.inputs.tolist() for step in steps] == [
        [100, 200, 300],
        [101, 400, 301],
        [102, 401, 302],
        [500, 303],
        [501, 304],
    ]
    assert [step.targets.tolist() for step in steps][3:] == [[501, 304], [502, 305]]
    assert [step.restarts.tolist() for step in steps] == [
        [1, 1, 1],
        [0, 1, 0],
        [0, 0, 0],
        [1, 0],
        [0, 0],
    ]
    assert [step.source.tolist() for step in steps][3] == [0, 2]
