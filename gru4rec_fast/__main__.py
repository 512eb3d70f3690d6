"""`python -m gru4rec_fast` is `gru4rec-fast`."""

from gru4rec_fast.cli import main

if __name__ == "__main__":
    main()
