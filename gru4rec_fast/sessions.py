"""A raw log of (session, item, time) events -> `Sessions`; the only file that knows raw logs.

Letters: E events, n sessions, V items. Tables come from pandas, polars or Arrow (through
narwhals), or from a .tsv, .txt, .csv (each also .gz) or .parquet file. The caller's table is
never changed (spec section 1).
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd

from gru4rec_fast._core import SessionStore
from gru4rec_fast.errors import DataError, closest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
FILE_KINDS = ".tsv or .txt (tabs), .csv (commas), each also as .gz, and .parquet"
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
            that holds only digits is read as integers, so leading zeros are lost, except for
            items where `itemidmap` holds text.
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
    if len(set(keys.values())) < len(keys):
        raise DataError(
            ", ".join(f"{keyword}={name!r}" for keyword, name in keys.items())
            + ": expected three different columns"
        )
    if not isinstance(data, str | os.PathLike):
        return _sessions(_select(data, keys), keys, itemidmap, time_sort)
    try:
        text_items = itemidmap is not None and not holds_integers(itemidmap.index)
        frame = nw.from_native(_read(Path(data), keys, text_items), eager_only=True)
        return _sessions(frame, keys, itemidmap, time_sort)
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
    keys: dict[str, str],
    itemidmap: pd.Series[int] | None,
    time_sort: bool,
) -> Sessions:
    item_key, session_key, time_key = keys.values()
    if len(frame) == 0:
        raise DataError("the log has no rows: expected at least one session of two events")
    items, sessions = _ids(frame[item_key]), _ids(frame[session_key])
    times = _times(frame[time_key])
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
        codes = _known_items(items, itemidmap, item_key)
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
    items: NDArray[Any], itemidmap: pd.Series[int], item_key: str
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
            f"no item would be known: convert it, e.g. {_cast(item_key, kinds[1])}"
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
    _require_columns(columns, keys, index_names)
    selected = frame.select(*keys.values())
    return selected.collect() if isinstance(selected, nw.LazyFrame) else selected


def _require_columns(
    columns: Sequence[str], keys: dict[str, str], index_names: Sequence[Any] = ()
) -> None:
    for keyword, name in keys.items():
        if name in columns:
            continue
        if name in index_names:
            raise DataError(
                f"column {name!r} is the index of the table: call data.reset_index() first"
            )
        near = closest(str(name), [str(column) for column in columns])
        raise DataError(
            f"no column {name!r}{near}; columns there: {', '.join(map(str, columns))}; "
            f"if it has another name, pass {keyword}=..."
        )


def _ids(series: nw.Series[Any]) -> NDArray[Any]:
    """int64, or object of str; each row has a value."""
    _require_values(series, ids=True)
    plain = _unwrapped(series)
    if plain.dtype.is_integer():
        return _int64(plain)
    if plain.dtype == nw.String:
        return np.asarray(plain.to_numpy(), dtype=object)
    kind = "integers" if plain.dtype.is_float() else "text"
    raise DataError(
        f"column {series.name!r} is of type {_described(plain)}: expected ids that are integers "
        f"or text; convert it, e.g. {_cast(series.name, kind)}"
    )


def _times(series: nw.Series[Any]) -> NDArray[Any]:
    """int64 or float64, contiguous; each row has a finite value."""
    _require_values(series, ids=False)
    plain = _unwrapped(series)
    if plain.dtype.is_integer():
        return _int64(plain)
    if plain.dtype.is_float():
        values = np.ascontiguousarray(plain.to_numpy(), dtype=np.float64)
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            raise DataError(
                f"column {series.name!r}, row {infinite[0]} (counted from 0) is infinite: "
                "expected finite times; correct or drop such rows"
            )
        return values
    if isinstance(plain.dtype, nw.Datetime):
        # narwhals converts to no coarser unit than ms, and from seconds that loses nothing.
        unit = "ms" if plain.dtype.time_unit == "s" else plain.dtype.time_unit
        return _int64(plain.dt.timestamp(unit))
    if plain.dtype == nw.Date:
        return _int64(plain.dt.timestamp("ms"))
    raise DataError(
        f"column {series.name!r} is of type {_described(plain)}: expected times that are "
        "integers, floats, dates or datetimes; convert text with "
        f"pd.to_datetime(data[{series.name!r}]) or polars' str.to_datetime()"
    )


def _require_values(series: nw.Series[Any], *, ids: bool) -> None:
    missing = series.is_null().to_numpy()
    if not missing.any() and series.dtype.is_float():
        missing = np.isnan(series.to_numpy())
    if not missing.any():
        return
    name, count = series.name, np.count_nonzero(missing)
    # One missing value turns a pandas integer column to floats, so name the way back as well.
    back = f", then {_cast(name, 'integers')}" if ids and series.dtype.is_float() else ""
    raise DataError(
        f"column {name!r}, row {int(np.argmax(missing))} (counted from 0) has no value (None or "
        f"NaN), as have {count} rows in all: drop such rows, e.g. data.dropna(subset=[{name!r}]) "
        f"in pandas, data.drop_nulls({name!r}) in polars{back}"
    )


def _unwrapped(series: nw.Series[Any]) -> nw.Series[Any]:
    """Categoricals as their values; pandas object columns of one kind as that kind."""
    native: Any = series.to_native()
    if isinstance(native, pd.Series):
        if isinstance(native.dtype, pd.CategoricalDtype):
            native = native.astype(native.cat.categories.dtype)
        if native.dtype == object:
            native = _typed(native)
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


def _typed(objects: pd.Series[Any]) -> pd.Series[Any]:
    kind = pd.api.types.infer_dtype(objects)
    if kind in ("date", "datetime", "datetime64"):
        return pd.to_datetime(objects)
    if kind == "integer":
        try:
            return objects.astype("int64")
        except OverflowError:
            raise _beyond_int64(objects.name, max(objects, key=abs)) from None
    if kind in ("floating", "mixed-integer-float"):
        return objects.astype("float64")
    return objects


def _int64(series: nw.Series[Any]) -> NDArray[np.int64]:
    if series.dtype in (nw.UInt64, nw.Int128, nw.UInt128):
        for extreme in (series.min(), series.max()):
            if not INT64_MIN <= extreme <= INT64_MAX:
                raise _beyond_int64(series.name, extreme)
    return np.ascontiguousarray(series.cast(nw.Int64).to_numpy(), dtype=np.int64)


def _beyond_int64(name: object, value: object) -> DataError:
    return DataError(
        f"column {name!r} holds {value}: expected integers from {INT64_MIN} to {INT64_MAX} "
        f"(int64); convert larger ids to text, e.g. {_cast(name, 'text')}"
    )


def _cast(name: object, kind: str) -> str:
    pandas, polars = ("str", "String") if kind == "text" else ("'int64'", "Int64")
    return (
        f"data[{name!r}].astype({pandas}) in pandas, pl.col({name!r}).cast(pl.{polars}) in polars"
    )


def _described(series: nw.Series[Any]) -> str:
    if series.dtype == nw.Object:
        return f"object ({pd.api.types.infer_dtype(series.to_numpy())})"
    return str(series.dtype)


# -- Files -------------------------------------------------------------------------------------


def _read(path: Path, keys: dict[str, str], text_items: bool) -> pl.DataFrame:
    """The three columns of a file. `text_items` keeps items of digits as text."""
    import polars as pl  # needed for files alone

    suffixes = [suffix.lower() for suffix in path.suffixes]
    separator = SEPARATORS.get("".join(suffixes[-2:]).removesuffix(".gz")[-4:])
    if separator is None and suffixes[-1:] != [".parquet"]:
        raise DataError(f"unknown kind of file: expected {FILE_KINDS}")
    if not path.is_file():
        raise DataError("no such file: expected the path of a session log")
    try:
        if separator is None:
            _require_columns(list(pl.read_parquet_schema(path)), keys)
            return pl.read_parquet(path, columns=list(keys.values()))
        packed = suffixes[-1] == ".gz"
        source = gzip.decompress(path.read_bytes()) if packed else path
        return _read_text(source, separator, keys, text_items)
    except pl.exceptions.NoDataError as error:
        raise DataError("the file is empty: expected a header line and events") from error
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot be read as {suffixes[-1]}: {error}; expected an intact file in UTF-8 of the "
            "kind that its name says"
        ) from error


def _read_text(
    source: Path | bytes, separator: str, keys: dict[str, str], text_items: bool
) -> pl.DataFrame:
    import polars as pl

    header = pl.read_csv(source, separator=separator, n_rows=0, infer_schema_length=0)
    _require_columns(header.columns, keys)

    def read(rows_for_types: int | None) -> pl.DataFrame:
        return pl.read_csv(
            source,
            separator=separator,
            columns=list(keys.values()),
            infer_schema_length=rows_for_types,
            schema_overrides={keys["item_key"]: pl.String} if text_items else None,
        )

    try:
        frame = read(10_000)
    except pl.exceptions.ComputeError:
        # A later row contradicts the types of the first ones: let every row have its say.
        frame = read(None)
    time = frame[keys["time_key"]]
    # Other notations are left as text, to be refused: 07/04 may be April or July.
    if time.dtype == pl.String and re.match(r"\d{4}-\d\d-\d\d", "".join(time.drop_nulls().head(1))):
        frame = frame.with_columns(time.str.to_datetime())
    return frame
