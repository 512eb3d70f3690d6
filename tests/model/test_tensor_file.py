"""A file that is written some rows at a time is the one that the library reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open

from gru4rec_fast.model import tensor_file
from gru4rec_fast.model.checksum import KEY, checksum
from tests.model.files import assert_same

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

METADATA = {"format": "x", "meta": '{"sha256": "ä"}'}
TYPES = (
    torch.uint8, torch.bfloat16, torch.float64, torch.bool, torch.float32, torch.int64,
    torch.int16, torch.float16, torch.int32, torch.int8,
)  # fmt: skip


class Asked:
    """Rows of a tensor that notes which of them were read."""

    def __init__(self, whole: torch.Tensor) -> None:
        self._whole, self.asked = whole, list[tuple[int, int]]()
        self.dtype, self.shape = whole.dtype, whole.shape

    def __getitem__(self, rows: slice) -> torch.Tensor:
        self.asked.append((rows.start, rows.stop))
        return self._whole[rows]


def test_the_library_reads_all_types_and_shapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "AT_ONCE", 16)
    tensors = {
        f"{'zyxwvutsrq'[k]}": (torch.arange(15) % 5).reshape(5, 3).to(dtype)
        for k, dtype in enumerate(TYPES)
    }
    tensors |= {
        "number": torch.tensor(2.5), "empty": torch.zeros(0, 4), "no columns": torch.zeros(4, 0),
        "cube": torch.arange(24.0).reshape(2, 3, 4), "view": torch.arange(24.0).reshape(4, 6).T,
        "sha256": torch.ones(1),
    }  # fmt: skip
    tensor_file.write(tmp_path / "m", tensors, METADATA)
    with safe_open(tmp_path / "m", framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    assert_same(found, tensors)
    assert metadata.pop(KEY) == checksum(tensors, METADATA)
    assert metadata == METADATA
    content = (tmp_path / "m").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    assert start % 8 == 0
    header = json.loads(content[8:start])
    for name, tensor in tensors.items():
        assert header[name]["data_offsets"][0] % tensor.dtype.itemsize == 0


def test_each_row_is_asked_for_once_and_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "AT_ONCE", 24)
    narrow, wide = Asked(torch.rand(7, 2)), Asked(torch.rand(2, 100))
    tensor_file.write(tmp_path / "m", {"narrow": narrow, "wide": wide}, METADATA)
    assert narrow.asked == [(0, 3), (3, 6), (6, 7)]
    assert wide.asked == [(0, 1), (1, 2)]


def test_an_older_file_is_cut_to_the_new_length(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"x" * 10_000)
    tensor_file.write(tmp_path / "m", {"a": torch.ones(3)}, METADATA)
    with safe_open(tmp_path / "m", framework="pt") as file:
        assert file.get_tensor("a").tolist() == [1, 1, 1]
