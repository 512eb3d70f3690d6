"""The one place that chooses an engine, for a fit or for ranks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gru4rec_fast.checks import one_of
from gru4rec_fast.engines.cpu import CpuEngine
from gru4rec_fast.engines.reference import ReferenceEngine
from gru4rec_fast.engines.triton import TritonEngine
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.engines.contract import Engine, Forward, Ranker
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec

logger = logging.getLogger(__name__)

ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (CpuEngine(), TritonEngine(), ReferenceEngine())
}
FAST = {"cpu": "cpu", "cuda": "triton"}
"""Type of a device (PyTorch calls ROCm devices cuda too) -> the engine that 'auto' asks there."""
NAMES = ("auto", *ENGINES)


def check_name(engine: object) -> str:
    """The name of an engine, or 'auto'.

    Raises:
        ParameterError: there is no engine of that name.
    """
    return one_of("engine", engine, NAMES)


def for_training(
    engine: str,
    spec: NetworkSpec,
    optimiser: Optimiser,
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
) -> Engine:
    """The engine that trains such a model.

    'auto' takes the fast engine of the device if it supports the model, else the reference, and
    logs why.

    Raises:
        ParameterError: the named engine does not support it; the message says why.
    """
    candidate = _candidate(engine, device)
    return _checked(
        engine,
        candidate,
        "training",
        candidate.supports(spec, optimiser, config, device, dtype),
    )


def forward(engine: str, spec: NetworkSpec, p: Parameters) -> Forward:
    """What advances the sessions of a network; 'auto' as for training.

    Raises:
        ParameterError: the named engine has no such forward pass; the message says why.
    """
    w = p["Wy.weight"]
    candidate = _candidate(engine, w.device)
    reason = candidate.advances(spec, w.device, w.dtype)
    return _checked(engine, candidate, "the forward pass", reason).forward(spec, p)


def ranker(engine: str, w: Tensor, b: Tensor, bounds: bool = True) -> Ranker:
    """What ranks the items with rows w (V, H) and biases b (V, 1); 'auto' as for training.

    Ranks depend on the scores alone, so that a model whose training no engine supports is still
    ranked by a fast one.

    Raises:
        ParameterError: the named engine does not rank such tensors; the message says why.
    """
    candidate = _candidate(engine, w.device)
    able = _checked(engine, candidate, "ranking", candidate.ranks(w.device, w.dtype))
    return able.ranker(w, b, bounds)


def _candidate(engine: str, device: torch.device) -> Engine:
    name = check_name(engine)
    return ENGINES[FAST.get(device.type, "reference") if name == "auto" else name]


def _checked(engine: str, candidate: Engine, purpose: str, reason: str | None) -> Engine:
    if reason is None:
        return candidate
    if engine != "auto":
        raise ParameterError(
            f"engine={engine!r} cannot be used for {purpose}: {reason}. Pass engine='auto', which "
            "takes an engine that can, or engine='reference', which can do everything, slowly"
        )
    logger.warning(
        "%s runs the slow reference in plain PyTorch: the engine %r would be used, but %s",
        purpose, candidate.name, reason,
    )  # fmt: skip
    return ENGINES["reference"]
