"""What tells that weights were replaced or written to, as what was made of them is then stale.

PyTorch counts what it writes to a tensor, and the training loop counts what engines write. Nothing
counts writes through `.data` or NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def version_of(tensor: Tensor) -> tuple[int, int]:
    """The address of a tensor, and how often it was written to; equal while nobody writes."""
    # PyTorch lets nobody write to inference tensors, and does not count for them.
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


class ParameterVersion:
    """The version of a module's parameters when this was made; a replaced parameter is another."""

    def __init__(self, module: nn.Module) -> None:
        self._parameters = [
            (owner._parameters, name, parameter, version_of(parameter))
            for owner in module.modules()
            for name, parameter in owner._parameters.items()
            if parameter is not None
        ]

    def is_current(self) -> bool:
        """Whether the module still has these parameters, not written to since."""
        for owner, name, parameter, version in self._parameters:
            if owner.get(name) is not parameter or version_of(parameter) != version:
                return False
        return True
