"""GRU4Rec, the session-based recommender: `from gru4rec_fast import GRU4Rec, batch_eval`."""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import CheckpointError, DataError, ParameterError

if TYPE_CHECKING:
    from gru4rec_fast.data.prepare import prepare
    from gru4rec_fast.evaluation.batch_eval import batch_eval
    from gru4rec_fast.evaluation.comparison import compare
    from gru4rec_fast.evaluation.evaluate import evaluate
    from gru4rec_fast.gru4rec import GRU4Rec
    from gru4rec_fast.tuning.tune import tune

__version__ = version("gru4rec-fast")
__all__ = [
    "CheckpointError",
    "DataError",
    "GRU4Rec",
    "ParameterError",
    "batch_eval",
    "compare",
    "evaluate",
    "prepare",
    "tune",
]

_HOME = {
    "GRU4Rec": "gru4rec_fast.gru4rec",
    "batch_eval": "gru4rec_fast.evaluation.batch_eval",
    "compare": "gru4rec_fast.evaluation.comparison",
    "evaluate": "gru4rec_fast.evaluation.evaluate",
    "prepare": "gru4rec_fast.data.prepare",
    "tune": "gru4rec_fast.tuning.tune",
}


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import: not before it is needed, so that the command line starts
    # first and can end quietly when it is interrupted meanwhile.
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Completion shows what is public, imported or not.
    return [*__all__, "__version__"]
