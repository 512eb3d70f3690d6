"""Whatever PyTorch can see of a write or a replacement makes another version."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gru4rec_fast.model.weight_version import ParameterVersion, version_of


def test_a_write_or_other_memory_is_another_version() -> None:
    w = torch.zeros(3, 2)
    version = version_of(w)
    assert version_of(w) == version
    assert version_of(w.clone()) != version
    w += 1
    assert version_of(w) != version


def test_inference_tensors_have_a_version() -> None:
    with torch.inference_mode():
        w = torch.zeros(3)
    assert version_of(w) == version_of(w)


@pytest.mark.parametrize("change", ["write", "replace", "remove"])
def test_parameters_of_inner_modules_are_watched(change: str) -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    inner = module[1]
    assert isinstance(inner, nn.Linear)
    version = ParameterVersion(module)
    assert version.is_current()
    if change == "write":
        with torch.no_grad():
            inner.bias.zero_()
    elif change == "replace":  # by the same memory: neither address nor count of writes differs
        inner.bias = nn.Parameter(inner.bias.data)
    else:
        inner.bias = None  # type: ignore[assignment]
    assert not version.is_current()
    assert ParameterVersion(module).is_current()
