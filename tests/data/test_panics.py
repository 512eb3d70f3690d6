"""What Rust prints at a panic is dropped from standard error; all else goes on, and at once."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import pytest

from gru4rec_fast.data.panics import PanicLines, panics_refused
from gru4rec_fast.errors import DataError

PANIC = (
    b"\nthread 'async-executor-0' (613) panicked at crates/a.rs:418:9:\nassertion failed\n"
    b"  left: 1\nstack backtrace:\n   0: begin\nnote: Some details are omitted\n"
)


@pytest.mark.parametrize("pieces", [1, 2, 7, 40])
def test_only_panics_are_dropped_however_the_stream_is_cut(pieces: int) -> None:
    lines = PanicLines()
    stream = b"before\n\ntwo\n" + PANIC + PANIC + b"after\nthread 'x' is fine\n\n 50%|#"
    cuts = sorted({len(stream) * i // pieces for i in range(pieces + 1)})
    passed = b"".join(lines.passed(stream[a:b]) for a, b in pairwise(cuts))
    assert passed + lines.rest() == b"before\n\ntwo\nafter\nthread 'x' is fine\n\n 50%|#"


def test_what_is_no_line_yet_goes_on_at_once() -> None:
    assert PanicLines().passed(b" 50%|###") == b" 50%|###"


def test_standard_error_comes_back_after_nested_blocks() -> None:
    code = (
        "import os; from gru4rec_fast.data.panics import panics_refused\n"
        "first, second = panics_refused(), panics_refused()\n"
        "first.__enter__(); second.__enter__(); os.write(2, b'within\\n')\n"
        f"os.write(2, {PANIC!r})\n"
        "first.__exit__(None, None, None); os.write(2, b'still\\n')\n"
        "second.__exit__(None, None, None); os.write(2, b'after\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"within\nstill\nafter\n"


def test_other_errors_pass(capfd: pytest.CaptureFixture[str]) -> None:
    def warn() -> None:
        os.write(2, b"a warning\n")
        raise DataError("mine")

    with pytest.raises(DataError, match="mine"), panics_refused():
        warn()
    assert capfd.readouterr().err == "a warning\n"
