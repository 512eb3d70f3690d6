"""examples/serve as a real process on 127.0.0.1: answers, limits, a replaced model, a restart."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import serve_load
from benchmarks.serve_load import running
from examples.serve import app as example
from gru4rec_fast import GRU4Rec
from tests.examples.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast.serving.recommendations import Recommendations

ROOT = Path(__file__).resolve().parents[2]
# One server for all.
pytestmark = pytest.mark.xdist_group("serve")


def loaded(model: Path) -> tuple[GRU4Rec, list[int]]:
    gru = GRU4Rec.loadmodel(model, device="cpu")
    return gru, gru.data_iterator.itemidmap.index.tolist()


def assert_answers(answers: list[Any], found: Recommendations) -> None:
    assert [answer["items"] for answer in answers] == found.ids.tolist()
    assert [answer["scores"] for answer in answers] == found.scores.tolist()
    assert [answer["cold"] for answer in answers] == found.cold.tolist()
    assert [answer["unknown"] for answer in answers] == found.unknown.tolist()


def test_answers_are_those_of_the_library(server: Server) -> None:
    gru, ids = loaded(server.model)
    live = gru.live()
    assert_answers([server.look("a")], live.recommend(["a"], 5))
    for item in (ids[3], ids[7], ids[3]):
        assert_answers([server.event("a", item)], live.step(["a"], [item], 5))
    unseen = server.event("a", ids[1], "k=7&exclude_seen=true")
    assert_answers([unseen], live.step(["a"], [ids[1]], 7, exclude_seen=True))
    assert not {ids[1], ids[3], ids[7]} & set(unseen["items"])
    assert server.look("a")["history"] == [ids[3], ids[7], ids[3], ids[1]]
    sessions, items = ["a", "b", "a", "c"], [ids[0], ids[2], ids[5], -1]
    batch = [{"session": s, "item": i} for s, i in zip(sessions, items, strict=True)]
    status, answers = server.ask("POST", "/events?k=4", batch)
    assert status == 200
    assert [answer["session"] for answer in answers] == sessions
    assert_answers(answers, live.step(sessions, items, 4))


def test_fewer_items_than_k_are_valid_json(server: Server) -> None:
    _, ids = loaded(server.model)
    answer = server.event("few", ids[0], "k=100")
    assert sorted(answer["items"]) == sorted(ids)
    assert len(answer["scores"]) == len(ids) < 100


@pytest.mark.parametrize("item", [-1, 2**63 - 1, "17", "no such item", "ä"])
def test_an_unknown_item_changes_nothing(server: Server, item: Any) -> None:
    _, ids = loaded(server.model)
    server.event(f"unknown-{item!r}".encode().hex(), ids[0])
    before = server.look(f"unknown-{item!r}".encode().hex())
    after = server.event(f"unknown-{item!r}".encode().hex(), item)
    assert after.pop("unknown") == 1
    assert after == {key: before[key] for key in after}


EVENT = {"session": "s", "item": 1}
REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("torn JSON", "/events", b'[{"session": "s", "it', 422, "JSON decode error"),
    ("not UTF-8", "/events", b"\xff\xfe{", 400, "parsing the body"),
    ("deep", "/events", b"[" * 100_000, 400, "parsing the body"),
    ("no body", "/events", b"", 422, "body: Field required"),
    ("NaN", "/sessions/s/events", b'{"item": NaN}', 422, "valid integer"),
    ("lone surrogate", "/sessions/s/events", b'{"item": "\\ud800"}', 422, "item"),
    ("surrogate key", "/sessions/s/events", b'{"item": 1, "\\ud800": 1}', 422, "unicode string"),
    ("bool", "/sessions/s/events", {"item": True}, 422, "body.item"),
    ("too large a number", "/sessions/s/events", {"item": 2**63}, 422, "less than"),
    ("long item", "/sessions/s/events", {"item": "i" * 129}, 422, "at most 128 characters"),
    ("misspelt", "/sessions/s/events", {"item": 1, "ks": 5}, 422, "body.ks: Extra inputs"),
    ("long id", f"/sessions/{'s' * 129}/events", {"item": 1}, 422, "at most 128 characters"),
    ("k 0", "/sessions/s/events?k=0", {"item": 1}, 422, "query.k"),
    ("k 101", "/events?k=101", [EVENT], 422, "less than or equal to 100"),
    ("no event", "/events", [], 422, "at least 1 item"),
    ("many events", "/events", [EVENT] * 257, 422, "at most 256 items"),
]


@pytest.mark.parametrize(("path", "body", "status", "told"), [r[1:] for r in REFUSED],
                         ids=[r[0] for r in REFUSED])  # fmt: skip
def test_a_bad_request_is_refused(
    server: Server, path: str, body: Any, status: int, told: str
) -> None:
    got, answer = server.ask("POST", path, body)
    assert got == status
    assert told in answer["detail"]
    assert server.look("s")["history"] == []


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body_is_refused(server: Server, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    body = pieces() if chunked else b" " * 131_073
    status, answer = server.ask("POST", "/events", body)
    assert (status, answer["detail"]) == (413, "body of more than 131072 bytes: send fewer events")
    event = json.dumps({"item": -1}).encode()
    status, _ = server.ask("POST", "/sessions/s/events", event + b" " * (131_072 - len(event)))
    assert status == 200


def test_a_replaced_model_goes_on_with_every_event(
    server: Server, models: tuple[Path, Path]
) -> None:
    gru, ids = loaded(models[1])
    sent: list[str] = []
    stop = threading.Event()

    def walk() -> None:
        while not stop.wait(0.002) and len(sent) < 20_000:
            server.event(f"walker-{len(sent)}", ids[3])
            sent.append(f"walker-{len(sent)}")

    server.event("still", ids[2])
    server.event("still", ids[9])
    walker = threading.Thread(target=walk)
    walker.start()
    try:
        replacement = server.model.with_name("replacement")
        shutil.copyfile(models[1], replacement)
        os.utime(replacement, (1000, 1000))
        replacement.replace(server.model)
        server.wait(lambda health: health["saved_at"] == 1000)
    finally:
        stop.set()
        walker.join()
    live = gru.live()
    live.step(["still"], [ids[2]])
    assert_answers([server.look("still")], live.step(["still"], [ids[9]], 5))
    # Health is asked every 0.1 s, so these are from before and after.
    lost = [session for session in sent[-300:] if server.look(session)["history"] != [ids[3]]]
    assert len(sent) > 10
    assert lost == []


def test_a_torn_model_file_changes_nothing(server: Server) -> None:
    _, ids = loaded(server.model)
    whole = server.model.read_bytes()
    answer = server.event("torn", ids[4])
    server.model.write_bytes(whole[: len(whole) // 2])
    refused = server.wait(lambda health: health["refused"] is not None)
    assert refused["status"] == "ok"
    assert "is truncated or damaged" in refused["refused"]
    assert server.look("torn")["items"] == answer["items"]
    assert server.look("torn")["scores"] == answer["scores"]
    server.model.write_bytes(whole)
    server.wait(lambda health: health["refused"] is None)
    assert server.look("torn")["history"] == [ids[4]]


@pytest.mark.slow
def test_sigterm_keeps_sessions(models: tuple[Path, Path], tmp_path: Path) -> None:
    _, ids = loaded(models[1])
    kept = tmp_path / "kept"
    with running(models[1], "--sessions", str(kept)) as (port, process):
        server = Server(models[1], port, process)
        for item in ids[:4]:
            server.event("anna", item)
        before = server.look("anna")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    with running(models[1], "--sessions", str(kept)) as (port, process):
        assert Server(models[1], port, process).look("anna") == before
    assert before["history"] == ids[:4]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-model"], "no-model: no such file"),
        (["model", "--capacity", "0"], "capacity is 0"),
        (["model", "--ttl", "-1"], "ttl is -1.0; expected seconds above 0"),
        (["model", "--sessions", "no-folder/kept"], "cannot be written"),
        (["model", "--sessions", "model"], "holds no live sessions"),
    ],
)
def test_wrong_settings_end_with_a_message(
    arguments: list[str],
    told: str,
    models: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copyfile(models[1], tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    with pytest.raises(SystemExit) as end:
        example.main()
    assert str(end.value).startswith("error: ")
    assert told in str(end.value)


@pytest.mark.slow
def test_the_load_command_states_its_percentiles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["serve_load", "--items", "500", "--requests", "200", "--batch", "3", "--swap"]
    monkeypatch.setattr(sys, "argv", command)
    serve_load.main()
    pattern = r"200 requests of 3 events .* p50 (\d+\.\d) ms, p99 (\d+\.\d) ms, max (\d+\.\d) ms"
    found = re.match(pattern, capsys.readouterr().out)
    assert found
    assert 0 < float(found[1]) <= float(found[2]) <= float(found[3])


def test_it_stays_small_enough_to_copy() -> None:
    folder = ROOT / "examples" / "serve"
    assert len((folder / "app.py").read_text(encoding="utf-8").splitlines()) <= 200
    assert len((folder / "index.html").read_text(encoding="utf-8").splitlines()) <= 150
