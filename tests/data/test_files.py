"""Log files: every kind is read, and what is no such file is refused."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError
from tests.logs import ITEM, assert_is_small_log, small_log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.data.conftest import Refuse

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")


@pytest.mark.parametrize("kind", ["tsv", "txt", "csv", "tsv.gz", "txt.gz", "csv.gz", "TSV"])
@pytest.mark.parametrize("text", [False, True])
def test_text_files(tmp_path: Path, kind: str, text: bool) -> None:
    frame = small_log(other="x y", ItemId=[f"i{i}" for i in ITEM] if text else ITEM)
    path = tmp_path / f"my.log.{kind}"
    separator = "," if "csv" in kind else "\t"
    content = frame.to_csv(sep=separator, index=False, lineterminator="\n")
    path.write_bytes(gzip.compress(content.encode()) if kind.endswith("gz") else content.encode())
    for given_path in (path, str(path)):
        sessions = load_sessions(given_path)
        assert_is_small_log(sessions)
        assert sessions.itemidmap.index.tolist() == list(dict.fromkeys(frame["ItemId"]))


def test_parquet_files(tmp_path: Path) -> None:
    small_log(ItemId=[f"i{i}" for i in ITEM], other=1).to_parquet(tmp_path / "log.parquet")
    assert_is_small_log(load_sessions(tmp_path / "log.parquet"))


def test_files_that_cannot_be_read(refuse: Refuse) -> None:
    header = b"SessionId,ItemId,Time\n"
    refuse("log.pickle", b"", r"unknown kind of file: expected \.tsv, \.txt or \.csv .*\.parquet")
    refuse("log", b"", "unknown kind of file: expected")
    refuse("log.parquet.gz", b"", "unknown kind of file: expected")
    refuse("empty.csv", b"", "the file is empty: expected a header line")
    refuse("header.csv", header, "the log has no rows")
    refuse("blank.csv", b"\n\n", "the file is empty: expected a header line")
    bad = header + b"1,2,3\n1,\xff\xfe,2\n"
    refuse("bytes.csv", bad, r"line 3 is not UTF-8 \(byte 0xff\): expected text in")
    packed = gzip.compress(header + b"1,2,3\n")
    for torn in (packed[:-9], packed[:9], packed[:12] + b"\xff" + packed[13:], header):
        refuse("torn.csv.gz", torn, r"cannot be read as \.gz")
    refuse("torn.parquet", b"PAR1", r"cannot be read as \.parquet")


def test_a_path_that_is_no_readable_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv: no such file"):
        load_sessions(tmp_path / "absent.tsv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: is a folder without manifest"):
        load_sessions(tmp_path / "folder.csv")
    with pytest.raises(DataError, match="data is an empty path"):
        load_sessions("")
    with pytest.raises(DataError, match=r"cannot be read \(.*null"):
        load_sessions("a\0.tsv")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    with pytest.raises(DataError, match=r"a\.tsv: cannot be read \(Permission denied\): expected"):
        load_sessions("a.tsv")
