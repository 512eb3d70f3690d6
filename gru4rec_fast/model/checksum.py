"""The checksum of a model file: SHA-256 of its tensors and its header's metadata."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

KEY = "sha256"
"""Where the header's metadata holds it."""


class Checksum:
    """Of names, types, shapes and bytes of tensors by ascending name, and of the metadata.

    Each tensor is begun, and its bytes follow in any parts. The metadata are those without KEY.
    """

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self._digest = hashlib.sha256()
        others = {key: text for key, text in metadata.items() if key != KEY}
        self._digest.update(json.dumps(others, sort_keys=True).encode())

    def begin(self, name: str, dtype: torch.dtype, shape: Sequence[int]) -> None:
        """The next tensor, whose bytes follow."""
        self._digest.update(json.dumps([name, str(dtype), list(shape)]).encode())

    def add(self, part: memoryview) -> None:
        """The next bytes of the tensor."""
        self._digest.update(part)

    @property
    def text(self) -> str:
        """The checksum of all that was added."""
        return self._digest.hexdigest()


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """`Checksum` of whole tensors."""
    found = Checksum(metadata)
    for name in sorted(tensors):
        found.begin(name, tensors[name].dtype, tensors[name].shape)
        found.add(bytes_of(tensors[name]))
    return found.text


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor's values, row by row; of the tensor itself where they lie so."""
    values = tensor.detach().cpu().contiguous()
    if not values.numel():  # without elements the stride may be 0, which has no view as bytes
        return memoryview(b"")
    return values.reshape(-1).view(torch.uint8).numpy().data
