"""The estimate of memory before a training: what cannot fit is refused with numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from gru4rec_fast import GRU4Rec
from gru4rec_fast.config import Config
from gru4rec_fast.training import memory
from gru4rec_fast.training.memory import available_memory, needed_memory, require_memory
from tests.logs import random_log

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("options", "bytes_per_item"),
    [
        ({"adapt": "adagrad"}, 2 * 4 * 33),
        ({"adapt": "adagrad-rowwise"}, 4 * 33 + 4 * 2),
        ({"adapt": "adagrad", "momentum": 0.5}, 3 * 4 * 33),
        ({"adapt": "sgd", "constrained_embedding": False, "embedding": 8}, 4 * 33 + 4 * 8),
    ],
)
def test_an_item_costs_its_parameters_and_their_state(
    options: dict[str, object], bytes_per_item: int
) -> None:
    config = Config().replace(layers=[32], n_sample=16, **options)
    more, less = (needed_memory(config, n, 1) for n in (10**8 + 10**6, 10**8))
    growth = {name: more[name] - less[name] for name in more}
    tables = growth["parameters"] + growth["optimiser state"]
    assert tables == 10**6 * bytes_per_item
    assert growth["items"] == 10**6 * memory.SAMPLER


def test_several_ranks_share_parameters_and_state_and_the_first_gets_all_at_the_end() -> None:
    config = Config().replace(layers=[32])
    alone, rank, first, two = (
        needed_memory(config, 10**6, 1, ranks=ranks, here=here, gathered=gathered)
        for ranks, here, gathered in ((1, 1, True), (4, 1, False), (4, 1, True), (4, 2, True))
    )
    for name in ("parameters", "optimiser state"):
        assert rank[name] == alone[name] // 4
        assert first[name] == rank[name] + alone[name]
        assert two[name] == 2 * rank[name] + alone[name]
    assert rank["items"] == first["items"] == alone["items"]
    assert two["items"] == 2 * alone["items"]


def test_the_estimate_of_a_training_is_that_of_its_tensors() -> None:
    gru = GRU4Rec(layers=[12], n_sample=8, n_epochs=1, momentum=0.1, device="cpu")
    gru.fit(random_log(), progress=False)
    needed = needed_memory(gru.model.config, gru.data_iterator.n_items, 1)
    parameters = gru.model.parameter_dict().values()
    assert needed["parameters"] == sum(p.numel() * p.element_size() for p in parameters)
    assert gru._training_state is not None
    state = [t for table in gru._training_state.optimiser.values() for t in table.values()]
    assert needed["optimiser state"] == sum(t.numel() * t.element_size() for t in state)


def test_what_cannot_fit_is_refused_with_numbers_and_remedies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config().replace(layers=[32])
    monkeypatch.setattr(memory, "available_memory", lambda: 24 * 10**9)
    with pytest.raises(
        MemoryError, match=r"needs 29\.\d\d GB \(13\.20 GB parameters, .*24\.00 GB are available: "
    ) as raised:
        require_memory(config, 10**8, 128, torch.device("cpu"))
    assert "adagrad-rowwise" in str(raised.value)
    rowwise = config.replace(adapt="adagrad-rowwise")
    require_memory(rowwise, 10**8, 128, torch.device("cpu"))
    with pytest.raises(MemoryError, match=r"restore_best=False"):
        require_memory(rowwise, 10**8, 128, torch.device("cpu"), copies=1)
    require_memory(config, 10**8, 128, torch.device("meta"))
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"needs .* but 0\.00 GB are available"):
        GRU4Rec(device="cpu").fit(random_log(), progress=False)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    GRU4Rec(layers=[4], n_epochs=1, device="cpu").fit(random_log(), progress=False)


def test_the_limit_of_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = available_memory()
    assert whole is not None
    assert whole > 0
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 1000\nactive_file 500\n")
    assert available_memory() == 301_500
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() != 301_500
    old = tmp_path / "memory"
    old.mkdir()
    (old / "memory.limit_in_bytes").write_text("5000\n")
    (old / "memory.usage_in_bytes").write_text("2000\n")
    (old / "memory.stat").write_text("cache 7\n")
    assert available_memory() == 3000
