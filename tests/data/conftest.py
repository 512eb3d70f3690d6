"""What the tests of the data side share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

Refuse = Callable[[str, bytes, str], str]
TAB_HEADER, COMMA_HEADER = b"SessionId\tItemId\tTime\n", b"SessionId,ItemId,Time\n"


@pytest.fixture
def refuse(tmp_path: Path) -> Refuse:
    """Asserts that a file of this name and content is refused by a message; returns the whole."""

    def refused(name: str, content: bytes, message: str) -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"(?s){re.escape(name)}: .*{message}") as raised:
            load_sessions(tmp_path / name)
        return str(raised.value)

    return refused
