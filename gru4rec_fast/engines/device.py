"""The device that a model is trained and used on."""

from __future__ import annotations

import torch

from gru4rec_fast.errors import ParameterError


def resolve_device(device: torch.device | str | None) -> torch.device:
    """The device, by default the GPU where there is one.

    Raises:
        ParameterError: no such device on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
        if resolved.type in ("cpu", "cuda"):
            return resolved
    except (RuntimeError, AssertionError, TypeError):
        # PyTorch's message lists every kind of device that it was ever built for.
        pass
    raise ParameterError(f"device {str(device)!r} is not there; expected one of {', '.join(known)}")
