"""The example server as a process, and a small model for it."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.serve_load import running
from tests.serving.models import small_model

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Server:
    """A running server; every request has a connection of its own."""

    def __init__(self, model: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.model, self.port, self.process = model, port, process

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer; bytes and iterators are sent as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if isinstance(body, dict | list):
            body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        answer = reply.status, json.loads(reply.read())
        connection.close()
        return answer

    def event(self, session: str, item: Any, query: str = "k=5") -> Any:
        """The answer to an event, which has to be taken."""
        status, answer = self.ask("POST", f"/sessions/{session}/events?{query}", {"item": item})
        assert status == 200, answer
        return answer

    def look(self, session: str) -> Any:
        status, answer = self.ask("GET", f"/sessions/{session}?k=5")
        assert status == 200, answer
        return answer

    def wait(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Its health, as soon as a condition holds."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            _, health = self.ask("GET", "/healthz")
            if condition(health):
                return dict(health)
            time.sleep(0.1)
        raise AssertionError(f"not within 60 s: {health}")


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of the same items and other weights."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in ((1, "model"), (2, "newer")):
        small_model(seed=seed).savemodel(folder / name)
    return folder / "model", folder / "newer"


@pytest.fixture(scope="package")
def server(models: tuple[Path, Path]) -> Iterator[Server]:
    with running(models[0]) as (port, process):
        yield Server(models[0], port, process)
