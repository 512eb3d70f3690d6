"""Serve a saved model over HTTP, with a page to click items on: python app.py MODEL.safetensors.

POST /sessions/{id}/events   {"item": 17}; answers with the best next items, ?k=20 of them
POST /events                 [{"session": "anna", "item": 17}, ...]; answers each, in order
GET  /sessions/{id}          the same answer without a new event, and the session's last items
GET  /healthz                when the model was saved, and why a newer file was refused
"""

import argparse
import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field, StringConstraints
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gru4rec_fast import GRU4Rec
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError
from gru4rec_fast.serving.live import LiveSessions
from gru4rec_fast.serving.recommendations import Recommendations

MOST_BYTES, MOST_EVENTS, MOST_K, MOST_ID = 128 * 1024, 256, 100, 128
THREADS = 40  # that answer at a time: FastAPI's default for routes without `async`
POLICY = {"Content-Security-Policy": "default-src 'self' data: 'unsafe-inline'"}
log = logging.getLogger("uvicorn.error")
Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MOST_ID)]
Item = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | Id
K = Annotated[int, Field(ge=1, le=MOST_K)]


class Event(BaseModel, extra="forbid"):
    item: Item


class SessionEvent(Event):
    session: Id


Batch = Annotated[list[SessionEvent], Field(min_length=1, max_length=MOST_EVENTS)]


class Served:
    """The model of a file with its live sessions, which outlive the model and the process."""

    def __init__(self, model: Path, sessions: Path, capacity: int, ttl: float) -> None:
        self._model, self._sessions, self._options = model, sessions, (capacity, ttl)
        self._changing, self.turns = threading.Lock(), threading.Semaphore(THREADS)
        self._stamp = model.stat().st_mtime_ns if model.exists() else 0
        self.live, self.health = self._load()
        if sessions.exists():
            try:
                self.live.restore(sessions)
            except CheckpointError:  # of another model; the next line raises if it is damaged
                self.live.restore(sessions, replay=True)
        self.save()  # a path that cannot be written is found now, not when sessions are lost

    def _load(self) -> tuple[LiveSessions, dict[str, Any]]:
        live = GRU4Rec.loadmodel(self._model).live(*self._options)
        return live, {"status": "ok", "saved_at": self._stamp // 10**9, "refused": None}

    def save(self) -> None:
        with self._changing:
            self.live.save(self._sessions)

    def follow(self) -> None:
        """Go on with the model file if it was replaced; one that cannot be used changes nothing."""
        try:
            if not self._model.exists() or self._model.stat().st_mtime_ns == self._stamp:
                return
            self._stamp = self._model.stat().st_mtime_ns
            live, health = self._load()
            with self._changing, contextlib.ExitStack() as pause:
                for _ in range(THREADS):  # all turns, as an event now would be lost
                    pause.enter_context(self.turns)
                self.live.save(self._sessions)
                self.live, self.health = live.restore(self._sessions, replay=True), health
            log.info("%s was replaced: the new model answers", self._model)
        except Exception as error:  # whatever is wrong with the new file
            self.health = {**self.health, "refused": str(error)}
            log.error("%s was replaced, but the old model goes on: %s", self._model, error)


def rows(found: Recommendations) -> list[dict[str, Any]]:
    """For JSON, an entry for each event; a score of -inf marks a place without an item."""
    columns = (found.sessions, found.ids, found.scores, found.cold, found.unknown)
    return [
        {"session": session, "items": items[scores > -float("inf")].tolist(), "cold": bool(cold),
         "scores": scores[scores > -float("inf")].tolist(), "unknown": int(unknown)}
        for session, items, scores, cold, unknown in zip(*columns, strict=True)
    ]  # fmt: skip


def body_limit(app: ASGIApp) -> ASGIApp:
    """Refuse bodies of more than MOST_BYTES before they are in memory."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BYTES:
                raise HTTPException(413, f"body of more than {MOST_BYTES} bytes: send fewer events")
            return message

        await app(scope, counted, send)

    return limited


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request, without repeating it."""
    text = str(error)
    if isinstance(error, RequestValidationError):
        text = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
    return JSONResponse({"detail": text[:1000].encode("ascii", "replace").decode()}, 422)


def create_app(served: Served) -> FastAPI:
    """The routes. Those without `async` run in threads, so that none holds up the others."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(served.follow)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch())
        yield
        watching.cancel()
        await asyncio.to_thread(served.save)

    errors: dict[Any, Any] = dict.fromkeys(
        (RequestValidationError, DataError, ParameterError), refuse
    )
    app = FastAPI(lifespan=lifespan, exception_handlers=errors, docs_url=None, redoc_url=None)
    app.add_middleware(body_limit)

    @app.get("/")
    def show_page() -> Response:
        return FileResponse(Path(__file__).with_name("index.html"), headers=POLICY)

    @app.get("/healthz")
    async def health() -> Response:
        return JSONResponse(served.health)

    @app.post("/sessions/{session}/events")
    def take_event(session: Id, event: Event, k: K = 20, exclude_seen: bool = False) -> Response:
        with served.turns:
            found = served.live.step([session], [event.item], k, exclude_seen=exclude_seen)
        return JSONResponse(rows(found)[0])

    @app.post("/events")
    def take_events(events: Batch, k: K = 20, exclude_seen: bool = False) -> Response:
        sessions, items = zip(*((event.session, event.item) for event in events), strict=True)
        with served.turns:
            found = served.live.step(sessions, items, k, exclude_seen=exclude_seen)
        return JSONResponse(rows(found))

    @app.get("/sessions/{session}")
    def look(session: Id, k: K = 20, exclude_seen: bool = False) -> Response:
        with served.turns:
            found = served.live.recommend([session], k, exclude_seen=exclude_seen)
            return JSONResponse({**rows(found)[0], "history": served.live.items(session)})

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a model of gru4rec_fast over HTTP.")
    parser.add_argument("model", type=Path, help="file of savemodel, which may be replaced later")
    parser.add_argument("--sessions", type=Path, help="their file; MODEL.sessions by default")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--capacity", type=int, default=100_000, help="most sessions kept")
    parser.add_argument("--ttl", type=float, default=1800, help="seconds that they are kept unused")
    given = parser.parse_args()
    torch.set_num_threads(1)  # requests run side by side instead
    sessions = given.sessions or Path(f"{given.model}.sessions")
    try:
        app = create_app(Served(given.model, sessions, given.capacity, given.ttl))
    except (CheckpointError, ParameterError, ArithmeticError) as error:
        raise SystemExit(f"error: {error}") from None
    limits: dict[str, Any] = {"limit_concurrency": 1000, "timeout_graceful_shutdown": 10}
    uvicorn.run(app, host=given.host, port=given.port, access_log=False, **limits)


if __name__ == "__main__":
    main()
