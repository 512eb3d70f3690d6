"""Check that the kernels of one instruction set define no symbol that another set may define too.

    python check_symbols.py NM NAME OBJECT ...

NAME is the instruction set: avx512. Prints every weak symbol of the objects, by the program NM,
whose mangled name lacks it, and exits with 1 if there is any. Why: README.md.
"""

from __future__ import annotations

import subprocess
import sys

WEAK = set("WVu")
"""The types of defined symbols of which the linker keeps one: weak, weak data, unique."""


def violations(nm: str, name: str, objects: list[str]) -> list[str]:
    """The offending symbols, each with its object."""
    # A mangled name has its length before it: a set's name within another word does not count.
    marker = f"{len(name)}{name}"
    found = []
    for path in objects:
        command = [nm, "--defined-only", path]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        for line in listing.splitlines():
            kind, symbol = line.split()[-2:]
            # DW.ref.* are pointers to data, for exceptions.
            if kind in WEAK and marker not in symbol and not symbol.startswith("DW.ref."):
                found.append(f"{path}: {symbol}")
    return found


def main() -> int:
    """Check the objects of the command line; returns the exit status."""
    nm, name, *objects = sys.argv[1:]
    found = violations(nm, name, objects)
    if found:
        print(
            f"these symbols of the {name} kernels may replace those of another instruction set; "
            "see csrc/isa/README.md:",
            *found,
            sep="\n",
            file=sys.stderr,
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
