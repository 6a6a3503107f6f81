"""The durable outbox: nothing is lost, nothing is sent twice without need, all of it is visible."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from common.errors import BadInput, LinkLost, Refused
from common.links.outbox import FIRST_WAIT_S, LONGEST_WAIT_S, Courier, Item, ItemState, Outbox

pytestmark = pytest.mark.requirement("TCS-RECORD")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Receiver:
    """Takes items, or fails as told."""

    def __init__(self) -> None:
        self.taken: list[Item] = []
        self.error: Exception | None = None

    def __call__(self, item: Item) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(item)


def test_put_is_sent_once_and_stays_visible(tmp_path: Path) -> None:
    outbox, receiver = Outbox(tmp_path), Receiver()
    first = outbox.put("record", b"\x00\n\xff", key="1.2.3")
    second = outbox.put_json("notice", {"patient": "王"})
    assert outbox.waiting() == 2
    assert outbox.deliver(receiver) == 2
    assert outbox.deliver(receiver) == 0
    assert (receiver.taken[0].kind, receiver.taken[0].body) == ("record", b"\x00\n\xff")
    assert receiver.taken[1].json() == {"patient": "王"}
    assert [(x.id, x.progress.state) for x in outbox.items()] == [
        (first, ItemState.DELIVERED),
        (second, ItemState.DELIVERED),
    ]
    assert outbox.waiting() == 0


def test_lost_link_backs_off_and_keeps_the_order_of_a_kind(tmp_path: Path) -> None:
    clock, receiver = Clock(), Receiver()
    outbox = Outbox(tmp_path, clock)
    first = outbox.put("record", b"1")
    outbox.put("record", b"2")
    receiver.error = LinkLost("nobody answers")
    assert outbox.deliver(receiver) == 0
    assert outbox.progress(first).attempts == 1
    assert outbox.progress(first).error == "nobody answers"
    assert outbox.progress(first).next_attempt == clock.now + FIRST_WAIT_S
    receiver.error = None
    assert outbox.deliver(receiver) == 0, "the second record must not overtake the first"
    clock.now += FIRST_WAIT_S
    assert outbox.deliver(receiver) == 2
    assert [item.body for item in receiver.taken] == [b"1", b"2"]


def test_back_off_grows_to_a_limit(tmp_path: Path) -> None:
    clock, receiver = Clock(), Receiver()
    receiver.error = OSError("no route")
    outbox = Outbox(tmp_path, clock)
    item = outbox.put("record", b"1")
    waits = []
    for _attempt in range(20):
        outbox.deliver(receiver)
        waits.append(outbox.progress(item).next_attempt - clock.now)
        clock.now = outbox.progress(item).next_attempt
    assert waits == sorted(waits)
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S


def test_refused_item_waits_for_a_person_and_blocks_nobody(tmp_path: Path) -> None:
    outbox, receiver = Outbox(tmp_path), Receiver()
    refused = outbox.put("record", b"1")
    receiver.error = Refused("altered copy")
    outbox.deliver(receiver)
    receiver.error = None
    outbox.put("record", b"2")
    assert outbox.deliver(receiver) == 1
    assert outbox.progress(refused).state is ItemState.REFUSED
    assert outbox.progress(refused).error == "altered copy"
    outbox.resend(refused)
    assert outbox.deliver(receiver) == 1
    assert outbox.progress(refused).state is ItemState.DELIVERED


def test_same_key_is_the_same_item(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    assert outbox.put("record", b"1", key="1.2.3") == outbox.put("record", b"1", key="1.2.3")
    assert outbox.put("notice", b"x", key="1.2.3") != outbox.put("record", b"1", key="1.2.3")
    with pytest.raises(Refused, match="another record"):
        outbox.put("record", b"other", key="1.2.3")
    assert outbox.waiting() == 2


def test_unknown_and_undelivered_items_are_refused(tmp_path: Path) -> None:
    outbox, receiver = Outbox(tmp_path), Receiver()
    with pytest.raises(BadInput, match="no item"):
        outbox.resend("00000001-record-000000000000")
    item = outbox.put("record", b"1")
    with pytest.raises(Refused, match="not delivered"):
        outbox.forget(item)
    outbox.deliver(receiver)
    outbox.forget(item)
    assert outbox.items() == []


def test_kind_is_a_plain_word(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allowed are"):
        Outbox(tmp_path).put("../record", b"1")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(tmp_path)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        outbox.put("record", b"1")
    assert list(tmp_path.iterdir()) == []


def test_killed_process_loses_nothing(tmp_path: Path) -> None:
    """A process that puts without end is killed; every id it announced is there, whole, in order."""
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from common.links.outbox import Outbox
        outbox = Outbox(Path(sys.argv[1]))
        while True:
            print(outbox.put("record", b"body" * 1000), flush=True)
        """
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    announced: list[str] = []
    for _round in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _line in range(10):
                announced.append(child.stdout.readline().strip())
            child.send_signal(signal.SIGKILL)
            announced += [line.strip() for line in child.stdout if line.endswith("\n")]
    outbox, receiver = Outbox(tmp_path), Receiver()
    names = [listed.id for listed in outbox.items()]
    assert names == sorted(names)
    assert set(announced) <= set(names)
    assert outbox.deliver(receiver) == len(names)
    assert {item.body for item in receiver.taken} == {b"body" * 1000}


def test_courier_delivers_what_an_earlier_process_left(tmp_path: Path) -> None:
    Outbox(tmp_path).put("record", b"left behind")
    outbox = Outbox(tmp_path)
    arrived = threading.Event()
    bodies: list[bytes] = []

    def receive(item: Item) -> None:
        bodies.append(item.body)
        if len(bodies) == 2:
            arrived.set()

    courier = Courier(outbox, receive, idle_s=0.01)
    courier.start()
    outbox.put("record", b"new")
    courier.wake()
    assert arrived.wait(20)
    courier.stop()
    assert bodies == [b"left behind", b"new"]


def test_courier_survives_a_defective_sender(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    calls: list[int] = []
    done = threading.Event()

    def defective(_item: Item) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        done.set()

    courier = Courier(outbox, defective, idle_s=0.01)
    courier.start()
    outbox.put("record", b"1")
    assert done.wait(20)
    courier.stop()
