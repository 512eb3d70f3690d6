"""`gru4rec-fast`, also as `python -m gru4rec_fast`; `cli/` says what it does."""

import sys


def main() -> None:
    """Run the command line; an interrupt while PyTorch is imported ends without a traceback."""
    try:
        from gru4rec_fast.cli.main import main as command_line

        command_line()  # It imports the command, and PyTorch with it.
    except KeyboardInterrupt:
        print("gru4rec-fast: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
