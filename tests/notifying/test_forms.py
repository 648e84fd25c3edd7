"""What a receiver reads: CloudEvents in CDEvents' vocabulary, and messages of Slack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rollcast.planner.declaration.receivers import NotifyEvent, NotifyFormat, Receiver
from rollcast.stacks.notifying.forms import body_of, cloudevent, slack, type_of
from rollcast.stacks.notifying.messages import Notification
from rollcast.stacks.notifying.queue import Queue, shown, subscribe
from tests.notifying.ledgers import Rollouts, ledger_in_memory

RECEIVER = Receiver(url="https://ops.example/hooks/1")
TEXT = {"type": "string", "minLength": 1}
ENVIRONMENT = {
    "type": "object",
    "properties": {"id": TEXT, "source": TEXT},
    "required": ["id"],
    "additionalProperties": False,
}
# The fields that CDEvents 0.5.1 prescribes, in our own words: a service's events take no others.
CDEVENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["context", "subject"],
    "properties": {
        "context": {
            "type": "object",
            "additionalProperties": False,
            "required": ["specversion", "id", "source", "type", "timestamp"],
            "properties": dict.fromkeys(["specversion", "id", "source", "type", "timestamp", "chainId"], TEXT),
        },
        "subject": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "content"],
            "properties": {"id": TEXT, "source": TEXT, "content": {"type": "object"}},
        },
        "customData": {"type": "object"},
        "customDataContentType": TEXT,
    },
}
SERVICE = {
    "type": "object",
    "properties": {"environment": ENVIRONMENT, "artifactId": {**TEXT, "pattern": "^pkg:"}},
    "additionalProperties": False,
}


def heard() -> list[Notification]:
    """All that a receiver hears of three rollouts and a rollback."""
    ledger, lease = ledger_in_memory()
    subscribe(ledger, lease, [RECEIVER])
    rollouts, found = Rollouts(ledger, lease), []
    rollouts.end(rollouts.begin())
    second = rollouts.begin()
    rollouts.hold(second)
    rollouts.end(second)
    third = rollouts.begin()
    rollouts.fail(third)
    rollouts.end(third, "rolled_back")
    rollouts.end(rollouts.begin(rollback=True))
    rollouts.end(rollouts.begin(removal=True))
    queue = Queue(ledger, lease, RECEIVER, lambda _, notification: found.append(notification))
    while queue.step() == 0.0:
        pass
    return found


def test_every_event_has_cdevents_word_and_a_sentence() -> None:
    said = [(type_of(one), one.text) for one in heard()]
    assert said == [
        ("dev.cdeventsx.rollcast-rollout.began.0.1.0", "ro-1 rolls out rel-1"),
        ("dev.cdevents.service.deployed.0.3.0", "everybody is on rel-1"),
        ("dev.cdeventsx.rollcast-rollout.began.0.1.0", "ro-2 rolls out rel-2"),
        ("dev.cdeventsx.rollcast-rollout.held.0.1.0", "ro-2 needs a person"),
        ("dev.cdevents.service.upgraded.0.3.0", "everybody is on rel-2"),
        ("dev.cdeventsx.rollcast-rollout.began.0.1.0", "ro-3 rolls out rel-3"),
        ("dev.cdeventsx.rollcast-rollout.failed.0.1.0", "ro-3 could not reach milestone 2, everyone"),
        ("dev.cdevents.service.rolledback.0.3.0", "ro-3 was rolled back, and everybody is on rel-2"),
        ("dev.cdeventsx.rollcast-rollout.began.0.1.0", "ro-4 goes back to rel-4"),
        ("dev.cdevents.service.rolledback.0.3.0", "everybody is back on rel-4"),
        ("dev.cdeventsx.rollcast-rollout.began.0.1.0", "ro-5 takes down all that serves"),
        ("dev.cdevents.service.removed.0.3.0", "nothing serves any more"),
    ]


def test_every_event_is_a_cloudevent_whose_data_is_a_cdevent() -> None:
    for one in heard():
        event = json.loads(body_of(one, NotifyFormat.CLOUDEVENTS))
        context = event["data"]["context"]
        assert event["specversion"] == "1.0"
        assert (event["id"], event["source"], event["type"]) == (context["id"], context["source"], context["type"])
        assert (event["subject"], event["time"]) == (event["data"]["subject"]["id"], context["timestamp"])
        assert context["specversion"] == "0.5.1"
        assert event["datacontenttype"] == "application/cdevents+json"
        Draft202012Validator(CDEVENT).validate(event["data"])
        if ".service." in event["type"]:
            Draft202012Validator(SERVICE).validate(event["data"]["subject"]["content"])


def test_a_rollback_names_what_serves_by_it() -> None:
    back = [one for one in heard() if one.event is NotifyEvent.ROLLEDBACK]
    packages = [cloudevent(one)["data"]["subject"]["content"]["artifactId"].partition("@")[2] for one in back]
    assert packages == ["rel-2", "rel-4"]


def test_events_of_one_rollout_are_a_chain_and_every_id_is_its_own() -> None:
    events = [cloudevent(one) for one in heard()]
    assert [event["data"]["context"]["chainId"] for event in events[:2]] == ["ro-1"] * 2
    assert len({event["id"] for event in events}) == len(events)


words = st.text(max_size=200)


@given(words, words, words, st.dictionaries(words, words, max_size=3))
def test_no_text_breaks_a_body_or_reaches_slacks_own_commands(
    text: str, reason: str, by: str, releases: dict[str, str]
) -> None:
    one = Notification(
        id="a", seq=0, event=NotifyEvent.HELD, scope="rag/production", time_s=1.0, rollout="ro-1", text=text,
        reason=reason, releases=releases, by=by,
    )  # fmt: skip
    for form in NotifyFormat:
        assert isinstance(json.loads(body_of(one, form)), dict)
    said = json.dumps(slack(one), ensure_ascii=False)
    assert "<" not in said
    assert ">" not in said


def test_a_message_of_slack() -> None:
    one = next(one for one in heard() if one.event is NotifyEvent.HELD)
    found: dict[str, Any] = slack(one)
    line = f":raised_hand: *{one.pipeline}* in *production*: ro-2 needs a person"
    assert found == {
        "text": line,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": line}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "paused"}]},
        ],
    }


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://ops.example/hooks/1", "https://ops.example/…"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("${SLACK_URL}", "${SLACK_URL}"),
        ("https://hooks.slack.com/services/${SLACK_PATH}", "https://hooks.slack.com/…"),
    ],
)
def test_an_address_is_shown_without_its_path(url: str, seen: str) -> None:
    assert shown(Receiver(url=url)) == seen


@pytest.mark.parametrize(
    "url",
    [
        "https://ana:secret@ops.example/",
        "https://ops.example/?token=abc",
        "https://hooks.slack.com/services/T0/B0/abc",
        "ftp://ops.example/",
        "https://",
        "",
    ],
)
def test_an_address_that_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Receiver(url=url)


@pytest.mark.parametrize("secret", ["hunter2", "${}", "$NAME", "${A}${B}"])
def test_a_key_is_never_written_out(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        Receiver(url="https://ops.example/", secret=secret)
