"""`gru4rec-fast`, also as `python -m gru4rec_fast`; what it does stands in `cli/`."""

import sys


def main() -> None:
    """Run the command line; an interrupt while PyTorch is imported ends without a traceback."""
    try:
        from gru4rec_fast.cli import main as cli
    except KeyboardInterrupt:
        print("gru4rec-fast: interrupted", file=sys.stderr)
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
