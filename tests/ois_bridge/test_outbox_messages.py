"""Messages leave the house if and only if the deed was committed, and the receiver knows a repetition."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from common import site
from common.errors import BadInput, LinkLost, Refused, Unauthorised
from common.state import StateDir
from common.text import set_language
from ois_bridge import process, settings
from ois_bridge.domain.outgoing_states import MOST_TRIES, OutgoingState, masked_recipient
from ois_bridge.interfaces.messages import Gateways
from ois_bridge.models.outbox import Outgoing
from ois_bridge.services import outbox
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.ports import Message
from simulation.messages.gateway import FakeGateway
from tests.ois_bridge.conftest import start

pytestmark = pytest.mark.requirement("OIS-NOTIFY")

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
ADMINISTRATOR = Caller("administrator", frozenset({"administrator"}))


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    server = FakeGateway()
    server.start()
    yield server
    server.stop()


def configured(root: Path, gateway: FakeGateway) -> None:
    (root / "ois").mkdir(parents=True, exist_ok=True)
    (root / "ois" / "messages.yaml").write_text(yaml.safe_dump(gateway.configuration()))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def means(tmp_path: Path, gateway: FakeGateway, clock: Clock) -> Iterator[Context]:
    configured(tmp_path, gateway)
    built = replace(process.build(StateDir(tmp_path), site.load()), now=clock)
    yield built
    built.close()


def put(means: Context, channel: str = "sms", recipient: str = "13800005678") -> str:
    with means.database.writing() as session:
        row = outbox.put(session, channel, "test", recipient, "10:30 {id}", "tester", means.now())
        session.flush()
        return row.key


def row(means: Context, key: str) -> Outgoing:
    with means.database.reading() as session:
        found = session.get(Outgoing, key)
        assert found is not None
        return found


@pytest.mark.parametrize("channel", ["sms", "wechat"])
def test_message_is_taken_once_with_its_text(means: Context, gateway: FakeGateway, channel: str) -> None:
    key = put(means, channel)
    assert outbox.send_due(means) == 1
    assert outbox.send_due(means) == 0
    (taken,) = gateway.taken()
    assert (taken.channel, taken.key, taken.recipient, taken.times) == (channel, key, "13800005678", 1)
    assert taken.text == "10:30 {id}", "a text is not looked through for places"
    assert row(means, key).state is OutgoingState.SENT


def test_rolled_back_deed_sends_nothing(means: Context, gateway: FakeGateway) -> None:
    with pytest.raises(RuntimeError), means.database.writing() as session:
        outbox.put(session, "sms", "test", "13800005678", "text", "tester", means.now())
        raise RuntimeError
    assert outbox.send_due(means) == 0
    assert gateway.taken() == []


def test_pauses_grow_until_it_is_given_up_and_sent_again(
    means: Context, gateway: FakeGateway, clock: Clock
) -> None:
    key = put(means)
    gateway.faults.extend([503] * MOST_TRIES)
    pauses = []
    for _attempt in range(MOST_TRIES):
        before = clock.time
        assert outbox.send_due(means) == 0
        assert outbox.send_due(means) == 0, "nothing is due within the pause"
        clock.time = max(row(means, key).next_try, before)
        pauses.append(clock.time - before)
    assert pauses == sorted(pauses)
    failed = row(means, key)
    assert (failed.state, failed.tries) == (OutgoingState.FAILED, MOST_TRIES)
    assert "503" in failed.error
    clock.time += timedelta(days=1)
    assert outbox.send_due(means) == 0
    with pytest.raises(Unauthorised):
        outbox.send_again(means, Caller("therapist", frozenset({"therapist"})), key)
    outbox.send_again(means, ADMINISTRATOR, key)
    assert outbox.send_due(means) == 1
    assert [one.key for one in gateway.taken()] == [key]
    with pytest.raises(Refused, match="sent"):
        outbox.cancel(means, ADMINISTRATOR, key)


def test_refused_message_is_not_tried_again(means: Context, gateway: FakeGateway) -> None:
    gateway.faults.append(422)
    key = put(means)
    outbox.send_due(means)
    assert row(means, key).state is OutgoingState.FAILED
    other = put(means, "pigeon")
    outbox.send_due(means)
    assert "pigeon" in row(means, other).error
    with pytest.raises(BadInput):
        put(means, recipient="")


def test_gateway_away_and_a_broken_configuration(tmp_path: Path, gateway: FakeGateway) -> None:
    path = tmp_path / "messages.yaml"
    gateways = Gateways(path)
    message = Message("k" * 16, "sms", "test", "13800005678", "text")
    with pytest.raises(Refused, match=r"messages\.yaml"):
        gateways.send(message)
    path.write_text("format: 1\nsms: {url: 'ftp://x', key: 'k', body: {}}\n")
    with pytest.raises(LinkLost, match=r"messages\.yaml line 2"):
        gateways.send(message)
    away = gateway.configuration()
    away["sms"]["url"] = "http://127.0.0.1:9/sms"
    path.write_text(yaml.safe_dump(away))
    os.utime(path, (1, 1))
    with pytest.raises(LinkLost, match="does not answer") as caught:
        gateways.send(message)
    assert "127.0.0.1" not in str(caught.value)
    gateways.close()


CRASH = """
import os, sys
from pathlib import Path
from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.interfaces.messages import Gateways
from ois_bridge.services import outbox
means = process.build(StateDir(Path(sys.argv[1])), site.load())
send = Gateways.send
def crash(self, message):
    if sys.argv[2] == "after":
        send(self, message)
    os.kill(os.getpid(), 9)
Gateways.send = crash
outbox.send_due(means)
"""


@pytest.mark.parametrize(("where", "times"), [("before", 1), ("after", 2)])
def test_kill_between_commit_and_note_loses_nothing(
    tmp_path: Path, gateway: FakeGateway, where: str, times: int
) -> None:
    configured(tmp_path, gateway)
    built = process.build(StateDir(tmp_path), site.load())
    key = put(built)
    child = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), where], check=False)
    assert child.returncode == -signal.SIGKILL
    again = replace(built, now=lambda: row(built, key).next_try)
    assert outbox.send_due(again) == 1
    assert outbox.send_due(again) == 0
    assert [(one.key, one.times) for one in gateway.taken()] == [(key, times)]
    built.close()


def test_recipients_are_masked() -> None:
    assert masked_recipient("13812345678") == "138****5678"
    assert masked_recipient("12345") == "*****"
    assert "openid" not in masked_recipient("o6_openid_bmjrPTlm6_2sg")


def test_real_process_sends_by_itself(tmp_path: Path, gateway: FakeGateway) -> None:
    root = tmp_path / "state"
    configured(root, gateway)
    built = process.build(StateDir(root), site.load())
    key = put(built)
    built.close()
    ois = start(root)
    for _wait in range(400):
        if gateway.taken():
            break
        time.sleep(0.05)
    assert ois.stop() == 0
    assert [one.key for one in gateway.taken()] == [key]
    assert "13800005678" not in ois.log()


def test_error_is_told_in_the_readers_language(means: Context, gateway: FakeGateway) -> None:
    key = put(means)
    gateway.faults.append(503)
    outbox.send_due(means)
    kept = row(means, key)
    set_language("zh")
    try:
        assert outbox.error_of(kept) == "网关暂时不能接收(HTTP 503)。"
        set_language("en")
        assert outbox.error_of(kept) == "The gateway cannot take it now (HTTP 503)."
    finally:
        set_language("en")
    kept.error = "words of an earlier version"
    assert outbox.error_of(kept) == kept.error


def test_old_messages_are_removed_as_the_settings_say(
    tmp_path: Path, means: Context, gateway: FakeGateway, clock: Clock
) -> None:
    (tmp_path / "ois" / "server.yaml").write_text("keep_messages_days: 30\n")
    assert settings.load(StateDir(tmp_path)).keep_messages == timedelta(days=30)
    kept_30 = replace(means, keep_messages=timedelta(days=30))
    sent, failed = put(means), put(means, "pigeon")
    outbox.send_due(kept_30)
    clock.time += timedelta(days=29)
    young = put(means)
    assert outbox.purge(kept_30) == 0
    clock.time += timedelta(days=2)
    assert outbox.purge(kept_30) == 1
    assert row(means, young).state is OutgoingState.QUEUED
    assert row(means, failed).state is OutgoingState.FAILED, "what was not sent waits for somebody"
    with means.database.reading() as session:
        assert session.get(Outgoing, sent) is None
    outbox.send_again(means, ADMINISTRATOR, failed)
    outbox.cancel(means, ADMINISTRATOR, failed)
    assert outbox.purge(kept_30) == 1
