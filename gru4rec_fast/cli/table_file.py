"""Tables that commands write: TSV, CSV (each also .gz) or Parquet, by the name of the file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.data.files import USUAL_SEPARATORS
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.model.atomic_file import written_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ".tsv, .txt, .csv, each also as .gz, or .parquet"


class TableFile:
    """A file that a command writes a table to, checked before the work.

    Args:
        path: the file; it is replaced only once the table is complete.
        flag: the command's flag for it, for messages.
        others: files of the same command that it must not be.

    Raises:
        ParameterError: it is none of the kinds, one of the others, or its folder is not there.
    """

    def __init__(self, path: str, flag: str, others: Sequence[str]) -> None:
        self.path = Path(path)
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        self._gzip = suffixes[-1:] == [".gz"]
        kind = "".join(suffixes[-2:-1] if self._gzip else suffixes[-1:])
        self._separator = USUAL_SEPARATORS.get(kind)
        if self._separator is None and (kind != ".parquet" or self._gzip):
            raise ParameterError(f"{flag} {path}: unknown kind of file; expected {KINDS}")
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise ParameterError(
                f"{flag} {path} cannot be written; expected a file name in an existing folder"
            )
        for other in others:
            if self.path.resolve() == Path(other).resolve():
                raise ParameterError(f"{flag} {path} is another file of this command; choose one")

    def write(self, table: Any) -> None:
        """Write a pandas or polars table, without the index.

        Raises:
            ParameterError: the disk is full, or the file may not be written.
        """
        import polars as pl

        frame = table if isinstance(table, pl.DataFrame) else pl.from_pandas(table)
        try:
            with written_aside(self.path) as aside:
                if self._separator is None:
                    frame.write_parquet(aside)
                elif self._gzip:
                    text = frame.write_csv(separator=self._separator)
                    aside.write_bytes(gzip.compress(text.encode()))
                else:
                    frame.write_csv(aside, separator=self._separator)
        except OSError as error:
            raise ParameterError(
                f"{self.path} cannot be written ({error.strerror or error}); expected a writable "
                "folder on a disk with room"
            ) from error
