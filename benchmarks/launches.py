"""The launches of a training step, recorded without running them: what is compiled and modelled.

`record(config)` makes the training step of a model on the CPU and records each kernel that one step
would launch, with its grid, its arguments' types and its compile-time constants. It needs neither a
GPU nor the interpreter. The kernel table, the cost model and the launch count all read it.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from triton.runtime.jit import JITFunction

from gru4rec_fast.config import Config
from gru4rec_fast.engines.contract import new_state
from gru4rec_fast.kernels import _tile
from gru4rec_fast.kernels.dependent_launch import LAUNCH_OPTION
from gru4rec_fast.kernels.rank_counts import rank_counts
from gru4rec_fast.kernels.top_k import top_k
from gru4rec_fast.kernels.training_step import TrainingStep
from gru4rec_fast.presets import PRESETS
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

N_ITEMS = 1000
"""V of the recorded models: large enough for every row index, small enough to build at once."""

OPTIONS = ("num_warps", "num_stages", LAUNCH_OPTION)


@dataclass(frozen=True)
class Launch:
    """One kernel launch, in the terms of `triton.compiler.ASTSource`."""

    kernel: Any
    grid: tuple[int, ...]
    signature: dict[str, Any]
    """Name -> type of each argument, a tuple of types for a tuple."""
    constants: dict[str, Any]
    divisible_by_16: tuple[tuple[int, ...], ...]
    """Where the arguments are that are multiples of 16: position, then position in the tuple."""
    options: dict[str, int]
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The kernel's name without `_kernel`."""
        return str(self.kernel.__name__).removesuffix("_kernel")

    def again(self) -> None:
        """Launch it once more on its tensors; a step that ends again still ends once."""
        self.kernel[self.grid](**self.arguments, **self.options)

    def key(self) -> str:
        """Equal for launches that compile to the same code, whatever their grid."""
        return repr((self.name, self.signature, self.constants, self.divisible_by_16, self.options))


def preset_config(name: str) -> Config:
    return Config().replace(**PRESETS[name])


def one_hot_config() -> Config:
    """A published size with the one-hot first layer, so that its kernels are in every table."""
    return preset_config("rsc15").replace(constrained_embedding=False)


OTHER_PARTS: dict[str, dict[str, Any]] = {
    "smoothing, sgd": {"loss": "cross-entropy", "logq": 1.0, "smoothing": 0.1, "adapt": "sgd"},
    "bpr, relu, rmsprop": {"loss": "bpr", "final_act": "relu", "adapt": "rmsprop"},
    "top1, tanh, adadelta": {"loss": "top1", "final_act": "tanh", "adapt": "adadelta"},
    "top1-max, leaky, adam": {"loss": "top1-max", "final_act": "leaky-0.1", "adapt": "adam"},
    "bpr-max, selu, adagrad-rowwise": {
        "loss": "bpr-max",
        "final_act": "selu-1.05-1.67",
        "adapt": "adagrad-rowwise",
    },
}
"""Losses, score activations and optimisers that no published setting has."""


def configs() -> dict[str, Config]:
    """The published settings, and others of their sizes for the kernels that they leave out."""
    largest = preset_config("diginetica").replace(elu_param=0.5, momentum=0.1, lmbd=1e-5)
    others = {name: largest.replace(**parts) for name, parts in OTHER_PARTS.items()}
    presets = {name: preset_config(name) for name in PRESETS}
    return presets | {"one-hot": one_hot_config()} | others


def record(
    config: Config,
    architecture: str | None = None,
    precision: str = "tf32",
    dependent_launches: bool = False,
) -> list[Launch]:
    """The launches of one training step, in order, with the tiles of an architecture."""
    spec = NetworkSpec.of(config, N_ITEMS)
    p = {name: torch.zeros(shape) for name, shape in spec.parameters.items()}
    state = new_state(OPTIMISERS[config.adapt](config), p)
    engine = TrainingStep(
        spec, p, list(state.values()), config, torch.ones(N_ITEMS, dtype=torch.int64),
        block_steps=1, precision=precision, architecture=architecture,
        dependent_launches=dependent_launches,
    )  # fmt: skip
    with recording() as launches:
        engine.launch_step()
    return launches


def record_others(config: Config) -> list[Launch]:
    """The launches that rank 512 targets and find the 20 best items."""
    units = config.layers[-1]
    features, w, b = torch.zeros(512, units), torch.zeros(N_ITEMS, units), torch.zeros(N_ITEMS, 1)
    with recording() as launches:
        rank_counts(features, w, b, torch.zeros(512, dtype=torch.int64))
        top_k(features, w, b, 20)
    return launches


LARGE = ", large table"
"""Ends the name of a setting whose tables of items need 64-bit offsets."""
SETTINGS = (*configs(), *(f"{name}{LARGE}" for name in ("rees46", "coveo", "one-hot")))
"""What is compiled ahead of time."""


def setting_launches(name: str, architecture: str) -> list[Launch]:
    """The launches of one of SETTINGS."""
    config = configs()[name.removesuffix(LARGE)]
    if name.endswith(LARGE):
        with patch.object(_tile, "LONG_FROM", 0):
            return record(config, architecture)
    return all_launches(config, architecture)


def all_launches(config: Config, architecture: str | None = None) -> list[Launch]:
    """Every launch of a model: those of a training step, then the others."""
    return record(config, architecture) + record_others(config)


@contextmanager
def recording(kind: type = JITFunction) -> Iterator[list[Launch]]:
    """Within it kernels are noted in the list instead of being launched.

    `kind` is what kernels are: with the interpreter they are its `InterpretedFunction`.
    """
    launches: list[Launch] = []

    def note(kernel: Any, *args: Any, grid: Any, **kwargs: Any) -> None:
        launches.append(launch_of(kernel, args, grid, kwargs))

    with patch.object(kind, "run", note):
        yield launches


def launch_of(
    kernel: Any, args: tuple[Any, ...], grid: tuple[int, ...], kwargs: dict[str, Any]
) -> Launch:
    """What `kernel.run(*args, grid=grid, **kwargs)` would launch."""
    options = {name: kwargs[name] for name in OPTIONS if name in kwargs}
    values = dict(zip(kernel.arg_names, args, strict=False))
    values |= {name: value for name, value in kwargs.items() if name in kernel.arg_names}
    constants: dict[str, Any] = {}
    signature: dict[str, Any] = {}
    aligned: list[tuple[int, ...]] = []
    for position, parameter in enumerate(inspect.signature(kernel.fn).parameters.values()):
        name = parameter.name
        if "constexpr" in str(parameter.annotation):
            signature[name], constants[name] = "constexpr", values[name]
        else:
            signature[name] = _type(values[name])
            aligned += _aligned(values[name], (position,))
    return Launch(kernel, tuple(grid), signature, constants, tuple(aligned), options, values)


def _type(value: Any) -> Any:
    if isinstance(value, tuple):
        types = [_type(each) for each in value]
        return type(value)(*types) if hasattr(value, "_fields") else tuple(types)
    if isinstance(value, torch.Tensor):
        names = {
            torch.float32: "fp32", torch.int32: "i32", torch.int64: "i64", torch.uint8: "u8",
        }  # fmt: skip
        return "*" + names[value.dtype]
    if isinstance(value, float):
        return "fp32"
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _aligned(value: Any, path: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Paths of the multiples of 16 in an argument at this path."""
    if isinstance(value, tuple):
        return [found for i, each in enumerate(value) for found in _aligned(each, (*path, i))]
    if isinstance(value, torch.Tensor):
        return [path] if value.data_ptr() % 16 == 0 else []
    return [path] if isinstance(value, int) and value % 16 == 0 else []
