"""Locks in processes that are forked, as those of gunicorn and of multiprocessing.

A fork copies locks as they are, but no other thread. A lock that another thread holds at that
moment would never be released in the child, and what it protects could be half-changed. So a fork
waits until it holds all locks, and both processes release them.
"""

from __future__ import annotations

import os
import threading
import weakref


class ForkSafeLock:
    """A lock that is free, and protects something whole, in a forked process.

    A thread may hold it more than once. No thread may wait for one while it holds another.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        with _forking:
            _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_forking = threading.RLock()  # of the names below; held by the thread that forks
_locks: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()
_held: list[ForkSafeLock] = []


def _hold_all() -> None:
    _forking.acquire()
    for lock in list(_locks):
        lock.__enter__()
        _held.append(lock)


def _release_all() -> None:
    while _held:
        _held.pop().__exit__()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_release_all)
