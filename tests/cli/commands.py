"""Commands run within the test's process, and the settings that make them small."""

from __future__ import annotations

import pytest

from gru4rec_fast.cli.main import main

TINY = "layers=8,batch_size=8,n_sample=16,n_epochs=2"


def run(*arguments: str) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that is refused prints."""
    capsys.readouterr()
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err
