"""Files that are replaced whole: a crash or a full disk leaves the old file as it was."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from gru4rec_fast.data.flush import flush

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A new, empty file beside `target`, which replaces it once the block has ended.

    The content is on the disk before the file is renamed. A block that raises leaves no new file.
    A process that is killed within the block leaves a hidden one (`.*.tmp`), which is safe to
    delete. The permissions are those of the old file.

    Raises:
        OSError: the file cannot be made, flushed or renamed.
    """
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        aside.touch(exist_ok=False)
        mode = (target if target.exists() else aside).stat().st_mode
        yield aside
        # The block may make the file anew with other permissions.
        aside.chmod(mode & 0o777)
        flush(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    if os.name == "posix":
        flush(target.parent)
