"""A raw log of (session, item, time) events -> `Sessions`; the only file that knows raw logs.

Letters: E events, n sessions, V items. Tables come from pandas, polars or Arrow (through
narwhals), or from a .tsv, .txt, .csv (each also .gz) or .parquet file. The caller's table is
never changed (SPEC section 1).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd

from gru4rec_fast._core import SessionStore
from gru4rec_fast.data.files import FILE_KINDS, Origin, cast, read_log, require_columns
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INT32_MAX = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Sessions:
    """Events grouped by session, ordered by time within each; ties keep the order of the log."""

    items: NDArray[np.int32]
    """(E,) item index of each event, session after session in ascending order of their ids."""
    offsets: NDArray[np.int64]
    """(n + 1,) session s holds items[offsets[s]:offsets[s + 1]]."""
    order: NDArray[np.int64]
    """(n,) the order in which an epoch takes the sessions."""
    itemidmap: pd.Series[int]
    """Index: item ids, named by the item column; values: their item index 0..V-1, int64."""
    support: NDArray[np.int64]
    """(V,) events of each item in this log."""
    session_ids: pd.Index[Any]
    """(n,) ids of the sessions, ascending."""
    rows: NDArray[np.int64]
    """(E,) row of the log, counted from 0, that each event came from."""
    dropped_events: int = 0
    """Events left out because the given itemidmap does not know their item."""

    @property
    def n_sessions(self) -> int:
        """n, those of one event included."""
        return len(self.session_ids)

    @property
    def n_events(self) -> int:
        """E."""
        return len(self.items)

    @property
    def n_items(self) -> int:
        """V, those without an event in this log included."""
        return len(self.itemidmap)

    @property
    def n_pairs(self) -> int:
        """(input, target) pairs: events that have a next one in their session."""
        return self.n_events - self.n_sessions

    @property
    def n_single(self) -> int:
        """Sessions of one event, which hold no pair."""
        return int(np.count_nonzero(np.diff(self.offsets) == 1))


def load_sessions(
    data: Any,
    *,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str = "Time",
    itemidmap: pd.Series[int] | None = None,
    time_sort: bool = True,
) -> Sessions:
    """Read a log into sessions.

    Item indices follow the first appearance of each item in the log as given; with `itemidmap`
    (evaluation) they are those of the map, and events of items that it lacks are dropped.
    `order` is by the time of a session's first event (ties by ascending session id), or by first
    appearance with `time_sort=False`.

    Args:
        data: a pandas, polars or Arrow table, or the path of a .tsv, .txt, .csv (each also .gz)
            or .parquet file.
        item_key: column of item ids: integers that fit int64, or text. A column of a text file
            is read as integers where each value is one without leading zeros, else as text;
            items also where `itemidmap` holds text.
        session_key: column of session ids, likewise.
        time_key: column of integers, floats, dates or datetimes (in a text file: ISO 8601).
        itemidmap: item id -> item index of a trained model; None to make one from this log.
        time_sort: whether `order` goes by time.

    Raises:
        DataError: no such file or an unknown kind of file; a missing column, a missing value, a
            column of a wrong type; an id that is not valid Unicode; an empty log; no event of an
            item in `itemidmap`.
    """
    keys = {"item_key": item_key, "session_key": session_key, "time_key": time_key}
    for keyword, name in keys.items():
        if not isinstance(name, str):
            raise DataError(f"{keyword} is {name!r}: expected the name of a column")
    if len(set(keys.values())) < len(keys):
        raise DataError(
            ", ".join(f"{keyword}={name!r}" for keyword, name in keys.items())
            + ": expected three different columns"
        )
    if not isinstance(data, str | os.PathLike):
        return _sessions(_select(data, keys), Origin(), keys, itemidmap, time_sort)
    if not os.fspath(data):
        raise DataError("data is an empty path: expected the path of a session log")
    try:
        text_items = itemidmap is not None and not holds_integers(itemidmap.index)
        columns, origin = read_log(Path(data), keys, text_items)
        frame = nw.from_native(columns, eager_only=True)
        return _sessions(frame, origin, keys, itemidmap, time_sort)
    except DataError as error:
        raise DataError(f"{os.fspath(data)}: {error}") from error


def require_pairs(sessions: Sessions) -> None:
    """Refuse sessions that cannot be trained or evaluated on.

    Raises:
        DataError: every session has one event, so that no event has a next one to predict.
    """
    if sessions.n_pairs == 0:
        raise DataError(
            f"all {sessions.n_sessions} sessions have a single event, so no event has a next one "
            "to predict: expected sessions of two events and more; check that the session column "
            "(session_key=...) holds the id of a session, not of an event"
        )


def numbered_items(ids: Sequence[str] | NDArray[Any], item_key: str) -> pd.Series[int]:
    """The itemidmap in which item i is ids[i]."""
    itemidmap: pd.Series[int] = pd.Series(
        np.arange(len(ids)), index=pd.Index(ids, name=item_key), name="ItemIdx", dtype="int64"
    )
    return itemidmap


def require_numbering(itemidmap: pd.Series[int]) -> None:
    """Refuse a map that does not number its items.

    Raises:
        DataError: an id occurs twice in the index, or the values are not 0..V-1 in some order.
    """
    indices = np.sort(itemidmap.to_numpy())
    if not (itemidmap.index.is_unique and np.array_equal(indices, np.arange(len(indices)))):
        raise DataError(
            "itemidmap: expected each item id once in its index and the values "
            f"0..{len(indices) - 1}; take it from the trained model"
        )


def is_unicode(text: str) -> bool:
    """Whether text can be encoded: it holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def holds_integers(index: pd.Index[Any]) -> bool:
    """Whether ids are integers (of any width) rather than text."""
    return pd.api.types.infer_dtype(index) == "integer"


def _sessions(
    frame: nw.DataFrame[Any],
    origin: Origin,
    keys: dict[str, str],
    itemidmap: pd.Series[int] | None,
    time_sort: bool,
) -> Sessions:
    item_key, session_key, time_key = keys.values()
    if len(frame) == 0:
        raise DataError("the log has no rows: expected at least one session of two events")
    items, sessions = _ids(frame[item_key], origin), _ids(frame[session_key], origin)
    times = _times(frame[time_key], origin)
    kept: NDArray[np.int64] | None = None
    if itemidmap is None:
        codes, ids = _distinct(items, item_key)
        if len(ids) > INT32_MAX:
            raise DataError(
                f"column {item_key!r} holds {len(ids)} different items: expected at most "
                f"{INT32_MAX}; is it the id of an event?"
            )
        itemidmap = numbered_items(ids, item_key)
    else:
        codes = _known_items(items, itemidmap, item_key, origin)
        if codes.min() < 0:
            kept = np.flatnonzero(codes >= 0)
            codes, sessions, times = codes[kept], sessions[kept], times[kept]
    session_codes, session_ids = _distinct(sessions, session_key, kept, sort=True)
    store = SessionStore(
        np.ascontiguousarray(session_codes, dtype=np.int64),
        np.ascontiguousarray(codes, dtype=np.int32),
        times,
        len(session_ids),
    )
    return Sessions(
        items=store.items,
        offsets=store.offsets,
        order=store.order_by_time() if time_sort else store.order_by_appearance(),
        itemidmap=itemidmap,
        support=np.bincount(store.items, minlength=len(itemidmap)).astype(np.int64, copy=False),
        session_ids=pd.Index(session_ids, name=session_key),
        rows=store.rows if kept is None else kept[store.rows],
        dropped_events=0 if kept is None else len(frame) - len(kept),
    )


def _known_items(
    items: NDArray[Any], itemidmap: pd.Series[int], item_key: str, origin: Origin
) -> NDArray[np.int64]:
    """Item index of each event, -1 for items that the map lacks."""
    require_numbering(itemidmap)
    indices = itemidmap.to_numpy(dtype=np.int64)
    kinds = [
        "integers" if integers else "text"
        for integers in (items.dtype != object, holds_integers(itemidmap.index))
    ]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"column {item_key!r} holds {kinds[0]} but the items of the model are {kinds[1]}, so "
            f"no item would be known: {origin.conversion(item_key, kinds[1])}"
        )
    positions, ids = _distinct(items, item_key)
    found = itemidmap.index.get_indexer(pd.Index(ids))
    if found.max() < 0:
        raise DataError(
            f"none of the {len(ids)} items in column {item_key!r} (the first: "
            f"{ids[0]!s}) is known to the model, which holds {len(itemidmap)} items (the "
            f"first: {itemidmap.index[0]!s}): expected ids of the log it was trained on"
        )
    return np.where(found < 0, -1, indices[found])[positions]


def _distinct(
    ids: NDArray[Any], name: str, rows: NDArray[np.int64] | None = None, *, sort: bool = False
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Code of each id, and the distinct ids. `rows`: row of the log of each id, if not of all.

    Python text can hold lone surrogates, which no Arrow column, file or checkpoint can.
    """
    codes, distinct = pd.factorize(ids, sort=sort)
    if distinct.dtype == object:
        try:
            "".join(distinct).encode()
        except UnicodeEncodeError:
            code = next(i for i, text in enumerate(distinct) if not is_unicode(text))
            position = int(np.argmax(codes == code))
            raise DataError(
                f"column {name!r}, row {position if rows is None else rows[position]} (counted "
                f"from 0) holds {distinct[code]!r}, which is not valid Unicode (a lone surrogate): "
                "expected text that UTF-8 can encode; read the log with its right encoding, or "
                f"escape such ids with data[{name!r}].str.encode('utf-8', "
                "'backslashreplace').str.decode('utf-8')"
            ) from None
    return codes, distinct


# -- Tables ------------------------------------------------------------------------------------


def _select(data: Any, keys: dict[str, str]) -> nw.DataFrame[Any]:
    """The three columns of a caller's table, which is only read."""
    try:
        frame = nw.from_native(data)
        columns = list(frame.collect_schema().names())
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the table has two columns of one name: {error}; rename one") from error
    except TypeError as error:
        raise DataError(
            f"data is of type {type(data).__name__}: expected a pandas, polars or Arrow table, or "
            f"the path of a file ({FILE_KINDS})"
        ) from error
    index_names = data.index.names if isinstance(data, pd.DataFrame) else ()
    require_columns(columns, keys, index_names)
    selected = frame.select(*keys.values())
    return selected.collect() if isinstance(selected, nw.LazyFrame) else selected


def _ids(series: nw.Series[Any], origin: Origin) -> NDArray[Any]:
    """int64, or object of str; each row has a value."""
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
        f"or text; {origin.conversion(series.name, _lossless_kind(plain))}"
    )


def _lossless_kind(series: nw.Series[Any]) -> str:
    """What ids of a wrong type can become: integers would merge 1.2 and 1.7."""
    if not series.dtype.is_float():
        return "text"
    values = series.to_numpy()
    values = values[np.isfinite(values)]
    return "integers" if np.array_equal(values, np.floor(values)) else "text"


def _times(series: nw.Series[Any], origin: Origin) -> NDArray[Any]:
    """int64 or float64, contiguous; each row has a finite value."""
    _require_values(series, origin, ids=False)
    if_too_large = "count in a coarser unit of time, or from a later start"
    plain = _unwrapped(series, if_too_large)
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
        # narwhals converts to no coarser unit than ms, and from seconds that loses nothing.
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
        remedy = (
            f"convert text with pd.to_datetime(data[{series.name!r}]) or polars' str.to_datetime()"
        )
    raise DataError(
        f"column {series.name!r} is of type {_described(plain)}: expected times that are "
        f"integers, floats, dates or datetimes; {remedy}"
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
        # One missing value turns a pandas integer column to floats: name the way back as well.
        if ids and series.dtype.is_float():
            remedy += f", then {cast(name, _lossless_kind(series))}"
    kind = "" if origin.line_of else " (None or NaN)"
    raise DataError(
        f"column {name!r}, {origin.row(int(np.argmax(missing)))} has no value{kind}, as have "
        f"{count} rows in all: {remedy}"
    )


def _unwrapped(series: nw.Series[Any], if_too_large: str) -> nw.Series[Any]:
    """Categoricals as their values; pandas object columns of one kind as that kind."""
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
            # A chunked array has no name; the others keep theirs.
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
