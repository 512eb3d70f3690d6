"""The errors that a user can correct: each names the value, what was expected and the remedy."""


class DataError(ValueError):
    """A session log, or a table of items, that cannot be used as it is."""


class ParameterError(ValueError):
    """A hyper-parameter of an unknown name, a wrong type, or a value out of range."""


class CheckpointError(ValueError):
    """A model file that cannot be written or read."""
