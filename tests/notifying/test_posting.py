"""One delivery over HTTP, to a real receiver: signed, in time, to the declared address and no other."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.planner.declaration.receivers import NotifyEvent, Receiver
from rollcast.stacks.notifying import posting
from rollcast.stacks.notifying.messages import Notification
from rollcast.stacks.notifying.posting import post
from rollcast.stacks.notifying.signing import headers_of
from tests.borders.hostile import answering
from tests.notifying.receiving import Delivery, webhook

ROOT = Path(__file__).parents[2]
KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
NEWS = Notification(
    id="ab12", seq=3, event=NotifyEvent.DEPLOYED, scope="rag/production", time_s=1_764_000_000.5, rollout="ro-1",
    text="everybody is on rel-2", reason="every gate passed", releases={"default": "rel-2"},
    before={"default": "rel-1"},
)  # fmt: skip


def checker_of_the_page() -> Callable[..., bool]:
    """The function that docs/how-to/notifications.md gives to receivers."""
    page = (ROOT / "docs/how-to/notifications.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    found: Callable[..., bool] = names["is_genuine"]
    return found


def verified(delivery: Delivery, key: str) -> bool:
    return checker_of_the_page()(delivery.headers, delivery.body, key)


def test_a_delivery_is_signed_over_its_id_its_time_and_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWS_KEY", KEY)
    with webhook() as hook:
        monkeypatch.setenv("NEWS_URL", f"{hook.url}/hooks/private")
        assert post(Receiver(url="${NEWS_URL}", secret="${NEWS_KEY}"), NEWS) is None
        (delivery,) = hook.taken
    assert delivery.path == "/hooks/private"
    assert delivery.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert delivery.headers["webhook-id"] == delivery.json["id"] == "ab12"
    assert verified(delivery, KEY)
    late = delivery.headers | {"webhook-timestamp": str(int(time.time()) - 3600)}
    assert not verified(Delivery(delivery.path, late, delivery.body), KEY), "sent again later"
    moved = delivery.headers | {"webhook-timestamp": str(int(time.time()) + 1)}
    assert not verified(Delivery(delivery.path, moved, delivery.body), KEY), "under another time"
    assert not verified(Delivery(delivery.path, delivery.headers, delivery.body + b" "), KEY)


@settings(max_examples=40)
@given(st.binary(max_size=40), st.text(min_size=16).filter(lambda text: not text.startswith("whsec_")), st.integers(0))
def test_another_id_time_body_or_key_is_another_signature(body: bytes, key: str, at_s: int) -> None:
    def signed(ident: str = "a", at: int = at_s, content: bytes = body, secret: str = key) -> str:
        return headers_of(ident, at, content, secret)["webhook-signature"]

    others = {signed("b"), signed(at=at_s + 1), signed(content=body + b"x"), signed(secret=key + "x")}
    assert len({signed(), *others}) == 5


@pytest.mark.parametrize(
    ("key", "why"),
    [("short", "has 5 bytes"), ("whsec_%%%", "no base64"), ("whsec_AAAA", "has 3 bytes")],
)
def test_a_key_that_is_none_signs_nothing_and_nothing_is_sent(
    key: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWS_KEY", key)
    with webhook() as hook:
        refused = post(Receiver(url=hook.url, secret="${NEWS_KEY}"), NEWS)
        assert hook.tried == []
    assert refused is not None
    assert why in refused.why
    assert key not in refused.why


def test_a_variable_that_is_not_set_is_named_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEWS_KEY", raising=False)
    with webhook() as hook:
        refused = post(Receiver(url=hook.url, secret="${NEWS_KEY}"), NEWS)
        assert hook.tried == []
    assert refused is not None
    assert "NEWS_KEY" in refused.why


def test_a_redirect_is_not_followed() -> None:
    with webhook() as elsewhere, webhook() as hook:
        hook.answer, hook.headers = lambda delivery: 307, {"location": elsewhere.url}
        refused = post(Receiver(url=hook.url), NEWS)
        assert elsewhere.tried == []
    assert refused is not None
    assert refused.final
    assert "redirect" in refused.why
    assert elsewhere.url not in refused.why


@pytest.mark.parametrize(("status", "final"), [(500, False), (503, False), (429, False), (408, False), (401, True)])
def test_a_status_says_whether_another_try_is_worth_it(status: int, final: bool) -> None:
    with webhook() as hook:
        hook.answer, hook.headers = lambda delivery: status, {"retry-after": "90"}
        refused = post(Receiver(url=hook.url), NEWS)
    assert refused is not None
    assert (refused.final, refused.wait_s) == (final, 0.0 if final else 90.0)
    assert str(status) in refused.why


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_one_that_hangs_or_drips_is_left_in_time(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.5)
    with webhook() as hook:
        hook.answer = lambda delivery: answer
        began = time.monotonic()
        refused = post(Receiver(url=hook.url), NEWS)
        took_s = time.monotonic() - began
    assert took_s < 3
    assert refused is not None
    assert not refused.final


@pytest.mark.parametrize(
    "pieces",
    [[b""], [b"\0" * 500], [b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 20000], [b"220 mail.example ESMTP\r\n"]],
    ids=["closed", "zeros", "endless headers", "another protocol"],
)
def test_what_is_no_answer_is_one_clear_refusal(pieces: list[bytes]) -> None:
    with answering(pieces) as url:
        refused = post(Receiver(url=url), NEWS)
    assert refused is not None
    assert not refused.final


@pytest.mark.parametrize(
    "url",
    ["https://ana:hunter2hunter2@[::1", "ftp://ana:hunter2hunter2@ops", "http://ana:hunter2hunter2@no.invalid/x", "x"],
)
def test_no_refusal_quotes_the_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWS_URL", url)
    refused = post(Receiver(url="${NEWS_URL}"), NEWS)
    assert refused is not None
    assert "hunter2" not in refused.why
