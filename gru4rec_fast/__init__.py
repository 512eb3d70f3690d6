"""GRU4Rec, the session-based recommender: `from gru4rec_fast import GRU4Rec, batch_eval`."""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import CheckpointError, DataError, ParameterError

if TYPE_CHECKING:
    from gru4rec_fast.gru4rec import GRU4Rec, batch_eval

__version__ = version("gru4rec-fast")
__all__ = ["CheckpointError", "DataError", "GRU4Rec", "ParameterError", "batch_eval"]


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import: not before it is needed, so that the command line starts
    # first and can end quietly when it is interrupted meanwhile.
    if name in ("GRU4Rec", "batch_eval"):
        return getattr(importlib.import_module("gru4rec_fast.gru4rec"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
