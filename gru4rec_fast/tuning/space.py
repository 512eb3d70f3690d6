"""The space of a search: which parameters vary, and between which values.

A file has one JSON object a line, as the users' files do:

    {"name": "layers", "dtype": "int", "values": [64, 512], "step": 32}
    {"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "log": true}
    {"name": "elu_param", "dtype": "categorical", "values": [0.5, 1, 0]}
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import closest, one_of
from gru4rec_fast.config import Config
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.parameter import as_text, parse

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from optuna.trial import Trial

KINDS = ("int", "float", "categorical")
KEYS = ("name", "dtype", "values", "step", "log")
FIELDS = {field.name: field for field in dataclasses.fields(Config)}

PUBLISHED: tuple[dict[str, Any], ...] = (
    {"name": "loss", "dtype": "categorical", "values": ["cross-entropy", "bpr-max"]},
    {"name": "layers", "dtype": "int", "values": [64, 512], "step": 4},
    {"name": "batch_size", "dtype": "int", "values": [32, 256], "step": 16},
    {"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "step": 0.005},
    {"name": "dropout_p_embed", "dtype": "float", "values": [0.0, 0.5], "step": 0.05},
    {"name": "dropout_p_hidden", "dtype": "float", "values": [0.0, 0.7], "step": 0.05},
    {"name": "momentum", "dtype": "float", "values": [0.0, 0.9], "step": 0.05},
    {"name": "sample_alpha", "dtype": "float", "values": [0.0, 1.0], "step": 0.1},
    {"name": "bpreg", "dtype": "float", "values": [0.0, 2.0], "step": 0.05},
    {"name": "elu_param", "dtype": "categorical", "values": [0.5, 1.0, 0.0]},
    {"name": "logq", "dtype": "categorical", "values": [0.0, 1.0]},
)
"""The ranges of the published searches, with both losses; every preset is a point of it."""


@dataclass(frozen=True)
class Dimension:
    """One parameter that varies."""

    name: str
    dtype: str
    values: tuple[Any, ...]
    """Lowest and highest value, both included, or the choices of 'categorical'."""
    step: float | None = None
    log: bool = False

    @classmethod
    def of(cls, entry: object) -> Dimension:
        """The dimension of a JSON object.

        Raises:
            ParameterError: what is wrong with it.
        """
        if not isinstance(entry, dict):
            raise ParameterError(f"{entry!r} is no JSON object; expected one as {_example()}")
        for key in entry:
            if key not in KEYS:
                raise ParameterError(
                    f"unknown key {key!r}{closest(str(key), KEYS)}; expected {', '.join(KEYS)}"
                )
        for key in KEYS[:3]:
            if key not in entry:
                raise ParameterError(f"no key {key!r}; expected an object as {_example()}")
        name, dtype, values = entry["name"], entry["dtype"], entry["values"]
        if name not in FIELDS:
            raise ParameterError(
                f"unknown parameter {name!r}{closest(str(name), FIELDS)}; known parameters: "
                f"{', '.join(FIELDS)}"
            )
        one_of(f"dtype of {name}", dtype, KINDS)
        if not isinstance(values, list) or not values:
            raise ParameterError(f"values of {name} is {values!r}; expected a list")
        found = cls(name, dtype, tuple(values), entry.get("step"), entry.get("log", False))
        found._check()
        return found

    def _check(self) -> None:
        for value in self.values:
            parse(FIELDS[self.name], as_text(value) if isinstance(value, list) else value)
        if not isinstance(self.log, bool):
            raise ParameterError(f"log of {self.name} is {self.log!r}; expected true or false")
        if self.dtype == "categorical":
            if self.step is not None or self.log:
                raise ParameterError(f"{self.name} is categorical: leave out step and log")
            return
        number = int if self.dtype == "int" else float
        low, high = (*self.values, None, None)[:2]
        if (
            len(self.values) != 2
            or not all(_is_number(value, number) for value in self.values)
            or not low <= high
        ):
            raise ParameterError(
                f"values of {self.name} is {list(self.values)}; expected the lowest and the "
                f"highest {self.dtype}"
            )
        if self.step is not None and (not _is_number(self.step, number) or self.step <= 0):
            raise ParameterError(
                f"step of {self.name} is {self.step!r}; expected a {self.dtype} above 0"
            )
        if self.log and (self.step is not None or low <= 0):
            raise ParameterError(
                f"{self.name} is logarithmic: expected no step, and values above 0; it has step "
                f"{self.step!r} and values from {low}"
            )

    def suggest(self, trial: Trial) -> Any:
        """The value of a trial."""
        if self.dtype == "categorical":
            # Optuna keeps numbers and text; a list is written as the command line has it.
            return trial.suggest_categorical(
                self.name, [as_text(v) if isinstance(v, list) else v for v in self.values]
            )
        low, high = self.values
        if self.dtype == "int":
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(
                self.name, low, low + (high - low) // step * step, step=step, log=self.log
            )
        if self.step is not None:
            # Optuna wants the highest value on a step, which decimal fractions are not exactly.
            high = round(low + math.floor((high - low) / self.step + 1e-9) * self.step, 12)
        value = trial.suggest_float(self.name, low, high, step=self.step, log=self.log)
        return value if self.step is None else round(value, 12)


@dataclass(frozen=True)
class Space:
    """The parameters that vary, in order."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def of(cls, entries: Iterable[object]) -> Space:
        """The space of some JSON objects.

        Raises:
            ParameterError: a bad object, none, or two of one name.
        """
        dimensions = tuple(map(Dimension.of, entries))
        names = [dimension.name for dimension in dimensions]
        for name in names:
            if names.count(name) > 1:
                raise ParameterError(f"{name} occurs {names.count(name)} times; leave all but one")
        if not names:
            raise ParameterError("the space is empty; expected at least one parameter that varies")
        return cls(dimensions)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Space:
        """The space of a file with one JSON object a line.

        Raises:
            ParameterError: no such file, or a bad line, which is named.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(
                f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); expected a "
                f"text file with a JSON object a line, as {_example()}"
            ) from error
        entries = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                Dimension.of(entry)
            except json.JSONDecodeError as error:
                raise ParameterError(
                    f"{path}, line {number}: is no JSON object ({error.msg}); expected one as "
                    f"{_example()}"
                ) from error
            except ParameterError as error:
                raise ParameterError(f"{path}, line {number}: {error}") from error
            entries.append(entry)
        try:
            return cls.of(entries)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from error

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """The values of a trial by name."""
        return {dimension.name: dimension.suggest(trial) for dimension in self.dimensions}

    def without(self, fixed: Mapping[str, Any]) -> Space:
        """The space without the parameters that have a fixed value."""
        return Space(tuple(d for d in self.dimensions if d.name not in fixed))

    def to_json(self) -> list[dict[str, Any]]:
        """JSON objects that `of` reads."""
        return [dataclasses.asdict(d) | {"values": list(d.values)} for d in self.dimensions]


def _is_number(value: object, number: type) -> bool:
    kinds = (int,) if number is int else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)


def _example() -> str:
    return '{"name": "layers", "dtype": "int", "values": [64, 512], "step": 32}'
