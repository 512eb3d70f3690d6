"""A wrong line of a text file is named, whatever is wrong with it."""

from __future__ import annotations

import re

import pytest

from tests.data.conftest import COMMA_HEADER, TAB_HEADER, Refuse

WRONG_LINES: list[tuple[str, bytes, str]] = [
    ("gap.csv", b"1,2,3\n1,,4\n", "column 'ItemId', line 3 has no value, as have 1 rows in all"),
    ("short.tsv", b"1\t2\t3\n1\t2\n", "column 'Time', line 3 has no value"),
    ("quotes.csv", b'1,"x\ny",3\n1,,4\n', "column 'ItemId', line 4 has no value"),
    ("empty.csv", b'1,2,3\n1,"",4\n', r"'ItemId', line 3 has no value \(an empty text\).*the file"),
    ("word.tsv", b"1\t2\t3\n1\t2\tabc\n1\t2\t4\n", "'Time', line 3 holds 'abc', which is no time"),
    ("mixed.csv", b"1,2,2014-04-07\n1,2,soon\n", "'Time', line 3 holds 'soon', which is no time"),
    ("dmy.csv", b"1,2,07/04/2014\n", "'Time', line 2 holds '07/04/2014'.*times in ISO 8601"),
    ("inf.csv", b"1,2,3\n1,2,inf\n", "'Time', line 3 is infinite"),
    ("huge.csv", b"1,2,9223372036854775808\n", "9223372036854775808: .*a coarser unit of time"),
    ("ragged.csv", b"1,2,3\n1,2,3,4,5\n", "line 3 has 5 fields: expected 3, as in the header line"),
    ("ragged.tsv", b"1\t2\t3\n1\t2\t3\t4\n", "line 3 has 4 fields: expected 3"),
    ("comma.csv", b'1,"2,5",3\n1,2,5,3\n', "line 3 has 4 fields: expected 3"),
    ("inches.csv", b'1,2,3\n1,screen 12",3\n', "line 3 has a quote that is not closed, or one"),
    ("open.csv", b'1,"x\ny",3\n1,"z,3\n1,2,3\n', "line 4 has a quote that is not closed"),
    ("whole.csv", b"1,2.0,3\n", "type Float64: .*the file into a table and convert it to int"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "lines", "message"), WRONG_LINES)
def test_a_wrong_line_of_a_file_is_named(
    refuse: Refuse, name: str, lines: bytes, message: str
) -> None:
    header = TAB_HEADER if name.endswith("tsv") else COMMA_HEADER
    refusal = refuse(name, header + lines, message)
    assert not re.search(r"data\[|truncate_ragged|infer_schema|malformed", refusal)
