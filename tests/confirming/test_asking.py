"""One question to a program or a webhook: yes, no, or nothing that decides, within its time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.stacks.confirming import asking
from rollcast.stacks.confirming.asker import Asker
from rollcast.stacks.confirming.asking import Heard, Question, ask
from tests.notifying.receiving import webhook
from tests.notifying.test_posting import KEY, verified

QUESTION = Question("ab12", {"id": "ab12", "milestone": {"index": 2}})


def never() -> bool:
    return False


def put(tmp_path: Path, **declared: Any) -> Heard:
    return ask(Confirmation.model_validate({"percent": 100, **declared}), QUESTION, tmp_path, never)


def program(text: str) -> list[str]:
    return ["python", "-c", text]


def test_a_webhook_gets_the_question_signed_and_its_answer_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASK_KEY", KEY)
    with webhook() as hook:
        hook.answer, hook.body = lambda delivery: 200, b'{"confirmed": true, "reason": "change 7"}'
        assert put(tmp_path, url=f"{hook.url}/changes", secret="${ASK_KEY}") == Heard(True, "change 7")
        hook.answer, hook.body = lambda delivery: 201, b'{"confirmed": false, "reason": "not on a friday", "more": 1}'
        assert put(tmp_path, url=f"{hook.url}/changes", secret="${ASK_KEY}") == Heard(False, "not on a friday")
    for delivery in hook.taken:
        assert (delivery.path, delivery.headers["content-type"]) == ("/changes", "application/json")
        assert delivery.headers["webhook-id"] == delivery.json["id"] == "ab12", "the same however often it is put"
        assert verified(delivery, KEY)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b'{"confirmed": true}', "it answered 500"),
        (503, b"", "it answered 503"),
        (404, b'{"confirmed": true}', "it answered 404"),
        (307, b'{"confirmed": true}', "a redirect, which is not followed"),
        (200, b"", "it answered 200 with no JSON"),
        (200, b"yes", "it answered 200 with no JSON"),
        (202, b'{"status": "pending"}', 'it answered 202 without "confirmed"'),
        (200, b'{"confirmed": "true"}', 'without "confirmed"'),
        (200, b'{"confirmed": 1}', 'without "confirmed"'),
        (200, b"[true]", 'without "confirmed"'),
        (200, b'{"confirmed": true}' + b" " * 100_000, "over 65,536"),
    ],
)
def test_what_is_no_answer_says_neither_yes_nor_no(tmp_path: Path, status: int, body: bytes, why: str) -> None:
    with webhook() as elsewhere, webhook() as hook:
        elsewhere.body = b'{"confirmed": true}'
        hook.answer, hook.body, hook.headers = lambda delivery: status, body, {"location": elsewhere.url}
        heard = put(tmp_path, url=f"{hook.url}/private")
        assert elsewhere.tried == []
    assert heard.confirmed is None
    assert why in heard.reason
    assert "private" not in heard.reason


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_a_webhook_that_hangs_or_drips_is_left_in_time(tmp_path: Path, answer: str) -> None:
    with webhook() as hook:
        hook.answer = lambda delivery: answer
        began_s = time.monotonic()
        heard = put(tmp_path, url=hook.url, timeout="300ms")
        assert time.monotonic() - began_s < 3
    assert heard.confirmed is None


@given(st.binary(max_size=60) | st.from_type(dict[str, bool]).map(lambda found: json.dumps(found).encode()))
def test_only_a_boolean_decides(text: bytes) -> None:
    heard = asking._understood(text, "it ended")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    wanted = found.get("confirmed") if isinstance(found, dict) else None
    assert heard.confirmed is (wanted if isinstance(wanted, bool) else None)


def test_a_program_reads_the_question_and_writes_the_answer(tmp_path: Path) -> None:
    heard = put(
        tmp_path,
        command=program(
            "import json,sys; q = json.load(sys.stdin); print(json.dumps({'confirmed': True, 'reason': q['id']}))"
        ),
    )
    assert heard == Heard(True, "ab12")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["no-such-program"], "it can't be run"),
        (program("import sys; sys.exit('the calendar is away')"), "it ended with 1: the calendar is away"),
        (program("print('{\"confirmed\": true}'); raise SystemExit(3)"), "it ended with 3"),
        (program("print('fine')"), "it ended with no JSON"),
        (program("import time; time.sleep(60)"), "it took more than 0.5 s"),
    ],
)
def test_a_program_that_fails_says_neither_yes_nor_no(tmp_path: Path, command: list[str], why: str) -> None:
    heard = put(tmp_path, command=command, timeout="500ms")
    assert heard.confirmed is None
    assert why in heard.reason


def test_an_asker_never_waits_and_asks_again_when_it_is_time(tmp_path: Path) -> None:
    now_s, go, said = [0.0], threading.Event(), [Heard(None, "it answered 503"), Heard(True, "change 7")]

    def answer(*about: Any) -> Heard:
        go.wait(10)
        return said.pop(0)

    asker = Asker(tmp_path, answer, lambda: now_s[0])
    declared = Confirmation(percent=1, url="https://ops.example", ask_every=30.0)
    assert asker.look(declared, QUESTION) is None
    assert (asker.look(declared, QUESTION), asker.asking) == (None, True)
    go.set()
    assert heard_of(asker, declared) == Heard(None, "it answered 503")
    assert (asker.look(declared, QUESTION), asker.asking) == (None, False), "not before its time"
    now_s[0] = 31.0
    assert asker.look(declared, QUESTION) is None
    assert heard_of(asker, declared) == Heard(True, "change 7")
    asker.end()


def test_a_try_that_hangs_beyond_every_limit_is_given_up(tmp_path: Path) -> None:
    now_s, go = [0.0], threading.Event()
    asker = Asker(tmp_path, lambda *about: (go.wait(30) and Heard(True)) or Heard(True), lambda: now_s[0])
    declared = Confirmation(percent=1, url="https://ops.example", timeout=2.0)
    assert asker.look(declared, QUESTION) is None
    now_s[0] = 10.0
    assert asker.look(declared, QUESTION) == Heard(None, "it did not answer within 2 s")
    assert not asker.asking
    go.set()


def test_an_error_of_a_try_is_said(tmp_path: Path) -> None:
    asker = Asker(tmp_path, lambda *about: 1 // 0, lambda: 0.0)  # type: ignore[arg-type, return-value]
    declared = Confirmation(percent=1, url="https://ops.example")
    asker.look(declared, QUESTION)
    heard = heard_of(asker, declared)
    assert (heard.confirmed, "ZeroDivisionError" in heard.reason) == (None, True)


def heard_of(asker: Asker, declared: Confirmation) -> Heard:
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        found = asker.look(declared, QUESTION)
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("nothing was heard")
