"""An engine never trains what it does not know: new options run by the reference until it does.

The dummies below are what CONTRIBUTING's recipes lead to, half way: the reference has the part, no
engine does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gru4rec_fast import GRU4Rec, ParameterError, reference, spec
from gru4rec_fast import config as config_module
from gru4rec_fast.config import Config
from gru4rec_fast.engines import choice, contract
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.model import network as network_module
from gru4rec_fast.model.network import Network
from gru4rec_fast.parameter import parameter
from gru4rec_fast.reference import Adagrad
from gru4rec_fast.spec import NetworkSpec
from tests.logs import random_log
from tests.oracle import V, random_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gru4rec_fast.activation import Activation

CPU = torch.device("cpu")
SMALL = Config().replace(layers=(10,), batch_size=8, n_sample=16)
FAST = [ENGINES["cpu"], ENGINES["triton"]]


@dataclass(frozen=True)
class DummyConfig(Config):
    """A Config with one field more."""

    dummy: float = parameter(0.0, "nothing that an engine knows")


class TripledAdagrad(Adagrad):
    """Another optimiser under the class of one that engines know."""

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """Adagrad of three times the gradient, at a tenth of the rate."""
        return super().scaled(3 * g, state) / 10


def dummy_cell(wx: Tensor, h: Tensor, w: Mapping[str, Tensor], _: Activation) -> Tensor:
    """A torch.nn.GRUCell that forgets a tenth of its state."""
    return 0.9 * reference.gru_reset_after(wx, h, w["weight_hh"], w["bias_hh"])


@pytest.fixture
def dummy_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss and a cell named 'dummy', in the tables of the reference."""
    monkeypatch.setattr(config_module, "LOSSES", (*config_module.LOSSES, "dummy"))
    monkeypatch.setitem(reference.LOSSES, "dummy", lambda s, _: 2 * reference.cross_entropy(s))
    monkeypatch.setitem(spec.CELLS, "dummy", spec.CELLS["gru-reset-after"])
    monkeypatch.setitem(reference.CELLS, "dummy", dummy_cell)


class DummyCellSpec(NetworkSpec):
    """The structure of a Config, with the dummy cell in all layers."""

    @classmethod
    def of(cls, config: Config, n_items: int) -> NetworkSpec:
        """`NetworkSpec.of` with the dummy cell."""
        plain = NetworkSpec.of(config, n_items)
        layers = tuple(replace(layer, cell="dummy") for layer in plain.layers)
        return replace(plain, layers=layers)


def trained(
    network: Network, engine: str, optimiser: Adagrad, config: Config
) -> tuple[str, dict[str, Tensor]]:
    """Name of the engine that trained some steps, and the parameters afterwards."""
    p = {name: value.clone() for name, value in network.parameter_dict().items()}
    chosen = choice.for_training(engine, network.spec, optimiser, config, CPU, torch.float32)
    support = torch.ones(V, dtype=torch.int64)
    trainer = chosen.trainer(network.spec, p, optimiser, config, support)
    trainer.start_epoch()
    trainer.train_block(random_block(8, 16, steps=4))
    return chosen.name, p


CASES: dict[str, tuple[dict[str, Any], type[Adagrad], str]] = {
    "field": ({"dummy": 0.5}, Adagrad, r"dummy=0\.5"),
    "loss": ({"loss": "dummy"}, Adagrad, "no loss 'dummy'"),
    "optimiser": ({}, TripledAdagrad, "no optimiser TripledAdagrad"),
    "cell": ({}, Adagrad, "no cell 'dummy'"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("dummy_parts")
def test_what_an_engine_does_not_know_gives_the_references_result(
    case: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options, optimiser_class, reason = CASES[case]
    plain_network = Network(SMALL, V)
    plain_network.initialise()
    if case == "cell":
        monkeypatch.setattr(network_module, "NetworkSpec", DummyCellSpec)
    config = dataclasses.replace(DummyConfig(**SMALL.to_dict()), **options)
    network = Network(config, V)
    network.initialise()
    optimiser = optimiser_class(config)

    name, p = trained(network, "auto", optimiser, config)
    assert name == "reference"
    assert len(caplog.messages) == 1
    assert "training runs the slow reference" in caplog.text
    _, expected = trained(network, "reference", optimiser, config)
    assert all(torch.equal(p[name], expected[name]) for name in p)
    with pytest.raises(ParameterError, match=rf"engine='cpu' cannot be used .*{reason}"):
        trained(network, "cpu", optimiser, config)
    for engine in FAST:
        found = engine.supports(network.spec, optimiser, config, CPU, torch.float32)
        assert found is not None

    plain, plain_p = trained(plain_network, "auto", Adagrad(SMALL), SMALL)
    assert plain == "cpu"
    if case != "field":  # which nothing computes with
        apart = [n for n in p if not torch.allclose(p[n], plain_p[n], rtol=1e-3, atol=1e-4)]
        assert apart, f"the dummy {case} trains as if it weren't there"


def test_a_dummy_field_at_its_default_is_trained_by_the_engine() -> None:
    config = DummyConfig(**SMALL.to_dict())
    network = Network(config, V)
    network.initialise()
    assert trained(network, "auto", Adagrad(config), config)[0] == "cpu"


@pytest.mark.parametrize("engine", FAST, ids=lambda engine: engine.name)
def test_every_field_of_config_is_handled_or_left_to_the_plan(engine: contract.Engine) -> None:
    """Every other field is refused at any value but its default."""
    from gru4rec_fast.engines import cpu, triton

    handled = {"cpu": cpu.HANDLED, "triton": triton.HANDLED}[engine.name]
    fields = {field.name for field in dataclasses.fields(Config)}
    assert handled | contract.WITHOUT_ENGINE <= fields
    assert not handled & contract.WITHOUT_ENGINE


@pytest.mark.usefixtures("dummy_parts")
def test_a_model_with_an_unknown_cell_is_ranked_by_the_fast_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_module, "NetworkSpec", DummyCellSpec)
    gru = GRU4Rec(layers=10, batch_size=8, n_sample=16, n_epochs=1, device="cpu")
    gru.fit(random_log(), progress=False)
    assert gru.engine_ == "reference"
    network = gru.model
    ranker = choice.ranker("auto", network.Wy.weight, network.By.weight)
    assert type(ranker).__name__ == "CpuRanker"


def test_the_engine_of_a_fit() -> None:
    gru = GRU4Rec(layers=10, batch_size=8, n_sample=16, n_epochs=1, device="cpu")
    assert (gru.engine, gru.engine_) == ("auto", None)
    weights: dict[str, Tensor] = {}
    for asked, ran in (("auto", "cpu"), ("cpu", "cpu"), ("reference", "reference")):
        gru.engine = asked
        gru.fit(random_log(), progress=False)
        assert gru.engine_ == ran
        weights[asked] = gru.model.Wy.weight.clone()
    assert torch.equal(weights["auto"], weights["cpu"])
    assert not torch.equal(weights["cpu"], weights["reference"])
    torch.testing.assert_close(weights["cpu"], weights["reference"], rtol=1e-3, atol=1e-5)


def test_an_engine_that_cannot_or_is_none() -> None:
    with pytest.raises(ParameterError, match="engine is 'cuda'; expected one of auto, cpu"):
        GRU4Rec(engine="cuda")
    with pytest.raises(ParameterError, match=r"engine is 'refrence'.*did you mean 'reference'"):
        GRU4Rec(engine="refrence")
    gru = GRU4Rec(layers=10, engine="triton", device="cpu")
    with pytest.raises(ParameterError, match=r"engine='triton' cannot .* runs on cuda devices"):
        gru.fit(random_log(), progress=False)
    with pytest.raises(RuntimeError, match="no model yet"):
        gru.recommend([1])


def test_the_engine_is_no_hyper_parameter_and_is_not_saved(tmp_path: Any) -> None:
    gru = GRU4Rec(layers=10, n_epochs=1, device="cpu", engine="reference")
    gru.fit(random_log(), progress=False)
    gru.savemodel(tmp_path / "model")
    assert GRU4Rec.loadmodel(tmp_path / "model", device="cpu").engine == "auto"
    assert GRU4Rec.loadmodel(tmp_path / "model", device="cpu", engine="cpu").engine == "cpu"
    with pytest.raises(ParameterError, match="engine is 'cuda'; expected one of"):
        gru.set_params(layers=5, engine="cuda")
    assert (gru.layers, gru.engine) == ((10,), "reference"), (
        "a refused set_params changed something"
    )
    assert gru.set_params(engine="cpu").engine == "cpu"
    assert "engine" not in gru.model.config.to_dict()


def test_float64_is_ranked_by_the_reference_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w, b = torch.randn(9, 4, dtype=torch.float64), torch.zeros(9, 1, dtype=torch.float64)
    ranker = choice.ranker("auto", w, b)
    assert type(ranker).__name__ == "ReferenceRanker"
    assert "ranking runs the slow reference" in caplog.text
    assert "torch.float64" in caplog.text
    with pytest.raises(ParameterError, match=r"engine='cpu' cannot be used for ranking"):
        choice.ranker("cpu", w, b)
