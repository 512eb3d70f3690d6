"""`gru4rec-fast`, also as `python -m gru4rec_fast`; `cli/` says what it does."""

import os
import sys

READER_ENDED = 141
"""Exit status where a shell states an end by SIGPIPE."""


def main() -> None:
    """Run the command line.

    An interrupt while PyTorch is imported ends without a traceback, and so does a reader of the
    output that takes only its first lines, as `head`.
    """
    try:
        from gru4rec_fast.cli.main import main as command_line

        try:
            command_line()  # It imports the command, and PyTorch with it.
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("gru4rec-fast: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Python flushes once more at its exit, and would report the same error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_ENDED)


if __name__ == "__main__":
    main()
