"""GRU4Rec, the session-based recommender: `from gru4rec_fast import GRU4Rec, batch_eval`."""

from importlib.metadata import version

from gru4rec_fast.errors import CheckpointError, DataError, ParameterError
from gru4rec_fast.gru4rec import GRU4Rec, batch_eval

__version__ = version("gru4rec-fast")
__all__ = ["CheckpointError", "DataError", "GRU4Rec", "ParameterError", "batch_eval"]
