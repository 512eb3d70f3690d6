"""How many threads plan for a GPU."""

from __future__ import annotations

import os

import pytest
import torch

from gru4rec_fast.config import Config
from gru4rec_fast.engines.triton import TritonTrainer
from gru4rec_fast.model.network import Network
from tests.kernels.cases import model, optimiser

CONFIG = Config().replace(layers=(8,), batch_size=4, n_sample=8)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (64, 2)])
def test_two_threads_plan_where_there_are_two_cores(
    cores: int, expected: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    p, support = model(CONFIG, 20, device), torch.ones(20, dtype=torch.int64, device=device)
    trainer = TritonTrainer(Network(CONFIG, 20).spec, p, optimiser(CONFIG), CONFIG, support)
    assert trainer.planning_threads == expected
