"""Reading a log file: which kind of file it is, and its three columns."""

from __future__ import annotations

import gzip
import stat
import zlib
from typing import TYPE_CHECKING

from gru4rec_fast.data.items import is_unicode
from gru4rec_fast.data.origin import Origin, require_columns, two_of_one_name
from gru4rec_fast.data.panics import panics_refused
from gru4rec_fast.data.text import read_text
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

USUAL_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
FILE_KINDS = ".tsv, .txt or .csv (tabs, commas or semicolons), each also as .gz, and .parquet"


def read_log(
    path: Path,
    keys: dict[str, str],
    sep: str | None,
    text_items: bool,
    *,
    all_columns: bool = False,
) -> tuple[pl.DataFrame, Origin]:
    """The columns of a file.

    Args:
        path: the file.
        keys: item_key, session_key and, unless rows are in order, time_key -> name of the column.
        sep: what separates the fields of a text file; None detects it.
        text_items: whether items of digits stay text.
        all_columns: whether to read the other columns too; those of a text file as text.

    Raises:
        DataError: no such file, or one that cannot be read as what its name says.
    """
    import polars as pl  # Only files need it.

    require_unicode_path(path)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("no such file: expected the path of a session log") from None
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error
    if is_folder:
        raise DataError(f"is a folder: expected a file, {FILE_KINDS}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    usual = USUAL_SEPARATORS.get("".join(suffixes[-2:]).removesuffix(".gz")[-4:])
    if usual is None and suffixes[-1:] != [".parquet"]:
        raise DataError(f"unknown kind of file: expected {FILE_KINDS}")
    try:
        if usual is not None:
            source = gzip.decompress(path.read_bytes()) if suffixes[-1] == ".gz" else path
            return read_text(source, sep, usual, keys, text_items, all_columns=all_columns)
        with panics_refused():
            require_columns(_parquet_columns(path), keys)
            columns = None if all_columns else list(keys.values())
            frame = pl.read_parquet(path, columns=columns, glob=False)
        return frame, Origin(file=True)
    except (pl.exceptions.PolarsError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot be read as {suffixes[-1]}: {str(error).partition(chr(10))[0]}; expected an "
            "intact file of the kind that its name says"
        ) from error
    except OSError as error:
        raise _unreadable(error) from error


def require_unicode_path(path: Path) -> None:
    """Refuse a path that libraries cannot take, as only the system can read it.

    Raises:
        DataError: the path is not valid UTF-8.
    """
    if not is_unicode(str(path)):
        raise DataError(f"the path {str(path)!r} is no UTF-8: rename the file or its folder")


def _parquet_columns(path: Path) -> list[str]:
    import polars as pl
    import pyarrow.parquet

    try:
        return list(pl.read_parquet_schema(path))
    except pl.exceptions.DuplicateError as error:
        raise two_of_one_name(pyarrow.parquet.read_schema(path).names) from error


def _unreadable(error: Exception) -> DataError:
    cause = getattr(error, "strerror", None) or error
    return DataError(f"cannot be read ({cause}): expected a file that this user may open")
