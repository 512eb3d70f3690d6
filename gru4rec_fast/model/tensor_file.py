"""Writes a safetensors file some rows at a time, so that no tensor needs to be in memory whole.

Format: 8 bytes with the length of a JSON header, the header, and the values of the tensors without
gaps. The library of that name reads such files, but it writes only what lies in memory as a whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import torch
from safetensors.torch import save

from gru4rec_fast.model.checksum import KEY, Checksum, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

AT_ONCE = 2**24
"""Bytes that are written at a time, at least one row."""
NO_CHECKSUM = "0" * 64
"""In its place until it is known."""


class Rows(Protocol):
    """A tensor that is read some rows at a time; `torch.Tensor` is one."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its values."""

    @property
    def shape(self) -> torch.Size:
        """Of the whole tensor."""

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Rows first .. end - 1, given as slice(first, end)."""


def write(path: Path, content: Mapping[str, Rows], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata, with a checksum among the metadata.

    Raises:
        OSError: it cannot be written; a part of the file may be left.
    """
    # Larger numbers first, so that each lies at a multiple of its size, as the library has it.
    order = sorted(content, key=lambda name: (-content[name].dtype.itemsize, name))
    begin, end = {}, 0
    for name in order:
        begin[name] = end
        end += content[name].shape.numel() * content[name].dtype.itemsize

    def header(checksum: str) -> bytes:
        described: dict[str, object] = {"__metadata__": {**metadata, KEY: checksum}}
        for name in order:
            rows = content[name]
            size = rows.shape.numel() * rows.dtype.itemsize
            described[name] = {
                "dtype": _type_name(rows.dtype), "shape": list(rows.shape),
                "data_offsets": [begin[name], begin[name] + size],
            }  # fmt: skip
        text = json.dumps(described).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    start = len(header(NO_CHECKSUM))
    checksum = Checksum(metadata)
    with path.open("wb") as file:
        for name in sorted(content):
            rows = content[name]
            checksum.begin(name, rows.dtype, rows.shape)
            file.seek(start + begin[name])
            for block in _blocks(rows):
                part = bytes_of(block)
                checksum.add(part)
                file.write(part)
        file.seek(0)
        file.write(header(checksum.text))
        file.truncate(start + end)


def _blocks(rows: Rows) -> Iterator[Tensor]:
    if len(rows.shape) == 0:
        if isinstance(rows, torch.Tensor):
            yield rows
        return
    of_row = rows.shape[1:].numel() * rows.dtype.itemsize
    at_once = max(1, AT_ONCE // max(1, of_row))
    for first in range(0, rows.shape[0], at_once):
        yield rows[first : min(first + at_once, rows.shape[0])]


def _type_name(dtype: torch.dtype) -> str:
    """The format's name of a type, from the library, as the library keeps the list to itself."""
    file = save({"x": torch.empty(0, dtype=dtype)})
    name: str = json.loads(file[8:])["x"]["dtype"]
    return name
