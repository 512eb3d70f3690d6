"""The class GRU4Rec of a module that the user names."""

from __future__ import annotations

import importlib
from typing import Any

from gru4rec_fast.errors import ParameterError


def model_class(module: str) -> Any:
    """The class GRU4Rec of a module.

    Raises:
        ParameterError: there is no such module, or it has no such class.
    """
    try:
        return importlib.import_module(module).GRU4Rec
    except (ImportError, AttributeError) as error:
        raise ParameterError(
            f"-g {module}: {error}; expected an importable module with a class GRU4Rec"
        ) from error
