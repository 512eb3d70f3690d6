"""The three columns of a log as arrays: ids, times, and the refusal of missing values.

Tables of pandas, polars and Arrow are read through narwhals and never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd

from gru4rec_fast.data.files import FILE_KINDS
from gru4rec_fast.data.items import INT64_MAX, INT64_MIN
from gru4rec_fast.data.origin import Origin, cast, require_columns, two_of_one_name
from gru4rec_fast.data.times import parsed_times
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def select_columns(data: Any, keys: dict[str, str]) -> nw.DataFrame[Any]:
    """The three columns of a caller's table, which is only read.

    Raises:
        DataError: `data` is no table, has two columns of one name, or lacks a column of `keys`
            (argument -> column).
    """
    try:
        frame = nw.from_native(data)
        columns = list(frame.collect_schema().names())
    except nw.exceptions.DuplicateError as error:
        names = data.columns if isinstance(data, pd.DataFrame) else data.column_names
        raise two_of_one_name(list(names)) from error
    except TypeError as error:
        raise DataError(
            f"data is of type {type(data).__name__}: expected a pandas, polars or Arrow table, or "
            f"the path of a file ({FILE_KINDS})"
        ) from error
    index_names = data.index.names if isinstance(data, pd.DataFrame) else ()
    require_columns(columns, keys, index_names)
    selected = frame.select(*keys.values())
    return selected.collect() if isinstance(selected, nw.LazyFrame) else selected


def id_column(series: nw.Series[Any], origin: Origin) -> NDArray[Any]:
    """The ids as int64, or as object of str.

    Raises:
        DataError: a missing value, another type, or an integer beyond int64.
    """
    _require_values(series, origin, ids=True)
    if_too_large = f"larger ids can be text: {origin.conversion(series.name, 'text')}"
    plain = _unwrapped(series, if_too_large)
    if plain.dtype.is_integer():
        return _int64(plain, if_too_large)
    if plain.dtype == nw.String:
        ids = np.asarray(plain.to_numpy(), dtype=object)
        empty = np.flatnonzero(ids == "")
        if empty.size:
            remedy = (
                "delete such rows from the file, or give them an id"
                if origin.file
                else f"drop such rows, e.g. data[data[{series.name!r}] != ''] in pandas, "
                f"data.filter(pl.col({series.name!r}) != '') in polars"
            )
            raise DataError(
                f"column {series.name!r}, {origin.row(int(empty[0]))} has no value (an empty "
                f"text), as have {empty.size} rows in all: {remedy}"
            )
        return ids
    raise DataError(
        f"column {series.name!r} is of type {_described(plain)}: expected ids that are integers "
        f"or text; {origin.conversion(series.name, _kind_without_loss(plain))}"
    )


def _kind_without_loss(series: nw.Series[Any]) -> str:
    """What ids of a wrong type can become: as integers, 1.2 and 1.7 would be one id."""
    if not series.dtype.is_float():
        return "text"
    values = series.to_numpy()
    values = values[np.isfinite(values)]
    return "integers" if np.array_equal(values, np.floor(values)) else "text"


def time_column(series: nw.Series[Any], origin: Origin) -> NDArray[Any]:
    """The times as int64 or float64, contiguous, in any unit.

    Raises:
        DataError: a missing or infinite value, another type, a text that is no time, or an integer
            beyond int64.
    """
    _require_values(series, origin, ids=False)
    if_too_large = "count in a coarser unit of time, or from a later start"
    plain = _unwrapped(series, if_too_large)
    if plain.dtype == nw.String:
        plain = nw.from_native(parsed_times(plain.to_polars(), origin), series_only=True)
    if plain.dtype.is_integer():
        return _int64(plain, if_too_large)
    if plain.dtype.is_float():
        values = np.ascontiguousarray(plain.to_numpy(), dtype=np.float64)
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            raise DataError(
                f"column {series.name!r}, {origin.row(int(infinite[0]))} is infinite: "
                "expected finite times; correct or drop such rows"
            )
        return values
    if isinstance(plain.dtype, nw.Datetime):
        # narwhals has no coarser unit than ms; seconds become ms without loss.
        unit = "ms" if plain.dtype.time_unit == "s" else plain.dtype.time_unit
        return _int64(plain.dt.timestamp(unit), if_too_large)
    if plain.dtype == nw.Date:
        return _int64(plain.dt.timestamp("ms"), if_too_large)
    if origin.file:
        remedy = "read the file into a table and convert the column there"
    elif plain.dtype == nw.Duration:
        remedy = (
            f"convert durations to numbers with data[{series.name!r}].dt.total_seconds() in "
            "pandas, dt.total_microseconds() in polars"
        )
    else:
        remedy = "convert it to one of these"
    raise DataError(
        f"column {series.name!r} is of type {_described(plain)}: expected times that are "
        f"integers, floats, dates, datetimes or text in ISO 8601; {remedy}"
    )


def _require_values(series: nw.Series[Any], origin: Origin, *, ids: bool) -> None:
    missing = series.is_null().to_numpy()
    if not missing.any() and series.dtype.is_float():
        missing = np.isnan(series.to_numpy())
    if not missing.any():
        return
    name, count = series.name, np.count_nonzero(missing)
    if origin.file:
        remedy = "delete such rows from the file, or read it into a table and drop them there"
    else:
        remedy = (
            f"drop such rows, e.g. data.dropna(subset=[{name!r}]) in pandas, "
            f"data.drop_nulls({name!r}) in polars"
        )
        # One missing value turns a pandas column of integers into floats: name the way back too.
        if ids and series.dtype.is_float():
            remedy += f", then {cast(name, _kind_without_loss(series))}"
    kind = "" if origin.line_of else " (None or NaN)"
    raise DataError(
        f"column {name!r}, {origin.row(int(np.argmax(missing)))} has no value{kind}, as have "
        f"{count} rows in all: {remedy}"
    )


def _unwrapped(series: nw.Series[Any], if_too_large: str) -> nw.Series[Any]:
    """Categories as their values; a pandas object column of one kind as that kind."""
    native: Any = series.to_native()
    if isinstance(native, pd.Series):
        if isinstance(native.dtype, pd.CategoricalDtype):
            native = native.astype(native.cat.categories.dtype)
        if native.dtype == object:
            native = _typed(native, if_too_large)
        pandas: nw.Series[Any] = nw.from_native(native, series_only=True)
        return pandas
    if series.dtype in (nw.Categorical, nw.Enum):
        if nw.dependencies.is_pyarrow_chunked_array(native):
            # A chunked array has no name, so the column's is set again.
            decoded = native.cast(native.type.value_type)
            arrow: nw.Series[Any] = nw.from_native(decoded, series_only=True)
            return arrow.alias(series.name)
        return series.cast(nw.String)
    return series


def _typed(objects: pd.Series[Any], if_too_large: str) -> pd.Series[Any]:
    kind = pd.api.types.infer_dtype(objects)
    if kind in ("date", "datetime", "datetime64"):
        return pd.to_datetime(objects)
    if kind == "integer":
        try:
            return objects.astype("int64")
        except OverflowError:
            raise _beyond_int64(objects.name, max(objects, key=abs), if_too_large) from None
    if kind in ("floating", "mixed-integer-float"):
        return objects.astype("float64")
    return objects


def _int64(series: nw.Series[Any], if_too_large: str) -> NDArray[np.int64]:
    if series.dtype in (nw.UInt64, nw.Int128, nw.UInt128):
        for extreme in (series.min(), series.max()):
            if not INT64_MIN <= extreme <= INT64_MAX:
                raise _beyond_int64(series.name, extreme, if_too_large)
    return np.ascontiguousarray(series.cast(nw.Int64).to_numpy(), dtype=np.int64)


def _beyond_int64(name: object, value: object, remedy: str) -> DataError:
    return DataError(
        f"column {name!r} holds {value}: expected integers from {INT64_MIN} to {INT64_MAX} "
        f"(int64); {remedy}"
    )


def _described(series: nw.Series[Any]) -> str:
    if series.dtype == nw.Object:
        return f"object ({pd.api.types.infer_dtype(series.to_numpy())})"
    return str(series.dtype)
