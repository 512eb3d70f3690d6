"""The checksum of a model file: SHA-256 of its tensors and its header's metadata."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

KEY = "sha256"
"""Where the header's metadata holds it."""


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Of names, types, shapes and bytes of the tensors, and of the metadata without KEY."""
    digest = hashlib.sha256()
    others = {key: text for key, text in metadata.items() if key != KEY}
    digest.update(json.dumps(others, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        if tensor.numel():  # without elements the stride may be 0, which has no view as bytes
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
