"""Lets the interpreters of Triton before 3.7 run with NumPy 2.4 and later.

In a kernel, `range` over a loaded number asks for its `__index__`. There the interpreter converts
an array of shape (1,) to an integer, which NumPy no longer does.
"""

from __future__ import annotations

from typing import Any


def repair_index() -> None:
    """Convert the only element instead; for interpreters that do so already, it changes nothing."""
    from triton.runtime import interpreter

    patch_tensor = interpreter._patch_lang_tensor

    def patched(tensor: Any, *scope: Any) -> None:
        patch_tensor(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    interpreter._patch_lang_tensor = patched
