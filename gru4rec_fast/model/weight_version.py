"""What tells that weights were replaced or written to, as what was made of them is then stale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class WeightVersion:
    """The addresses of tensors, and how often they were written to; equal while nobody writes.

    PyTorch counts what it writes to a tensor, and the training loop counts what engines write.
    Nothing counts writes through `.data` or NumPy.
    """

    stamp: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, *tensors: Tensor) -> WeightVersion:
        """The present version."""
        return cls(
            tuple(
                # PyTorch lets nobody write to inference tensors, and does not count for them.
                (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
                for tensor in tensors
            )
        )


class ParameterVersion:
    """The version of a module's parameters when this was made; a replaced parameter is another."""

    def __init__(self, module: nn.Module) -> None:
        self._places = [
            (owner._parameters, name, parameter)
            for owner in module.modules()
            for name, parameter in owner._parameters.items()
            if parameter is not None
        ]
        self._version = self._present()

    def is_current(self) -> bool:
        """Whether the module still has these parameters, not written to since."""
        same = all(owner.get(name) is parameter for owner, name, parameter in self._places)
        return same and self._present() == self._version

    def _present(self) -> WeightVersion:
        return WeightVersion.of(*(parameter for _, _, parameter in self._places))
