"""Chain logs over several files, what a full disk leaves, and ends that were cut off."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import hashchain
from common.chain_lines import GENESIS, link
from common.chain_tail import Tail
from common.errors import Tampered
from common.hashchain import ChainLog, Rotation, closed_files, entries, links, verify
from common.seals import SEALS, Sealer, check, sealed

SMALL = Rotation(size=600)


def filled(path: Path, count: int = 20) -> None:
    log = ChainLog(path, SMALL)
    for number in range(count):
        log.append({"number": number, "what": "写入"})
    log.close()


@pytest.mark.requirement("SYS-AUDIT")
def test_a_rotated_log_is_one_chain_and_any_change_in_any_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "x.log"
    filled(path)
    files = [*closed_files(path), path]
    assert len(files) > 3 and verify(path) == 20
    assert [entry["number"] for entry in entries(path)] == list(range(20))
    for file in files:
        good = file.read_bytes()
        for place in range(0, len(good), 23):
            file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            with pytest.raises(Tampered, match=r"line \d+|continue"):
                verify(path)
        file.write_bytes(good)
    for file in files[:-1]:
        good = file.read_bytes()
        file.unlink()
        with pytest.raises(Tampered, match=r"missing|continue|follow"):
            verify(path)
        file.write_bytes(good)
    last = files[-2].read_bytes().splitlines(keepends=True)
    files[-2].write_bytes(b"".join(last[:-1]))  # the end of a closed file: no seal is needed for that
    with pytest.raises(Tampered, match="line 1 does not follow"):
        verify(path)


@pytest.mark.requirement("SYS-AUDIT")
def test_white_space_and_key_order_are_no_way_around_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    filled(path, 2)
    good = path.read_text()
    for changed in (
        good.replace('":1', '": 1'),
        good.replace('{"number":0,"what":"写入"}', '{"what":"写入","number":0}'),
    ):
        assert changed != good
        path.write_text(changed)
        with pytest.raises(Tampered, match="line"):
            verify(path)


@pytest.mark.requirement("SYS-AUDIT")
def test_logs_of_an_earlier_release_stay_valid(tmp_path: Path) -> None:
    path, last = tmp_path / "x.log", GENESIS
    rows = [{"z": 1, "a": "写\u2028", "n": number} for number in range(3)]
    with path.open("w") as file:
        for row in rows:
            last = link(last, row)
            file.write(json.dumps({"hash": last, "entry": row}, ensure_ascii=False) + "\n")
    log = ChainLog(path)
    log.append({"new": "\ud800"})
    log.close()
    assert entries(path) == [*rows, {"new": "\ud800"}]
    path.write_text(path.read_text().replace('"n": 1', '"n":  1'))
    with pytest.raises(Tampered, match="line 2"):
        verify(path)


@pytest.mark.requirement("SYS-AUDIT")
def test_a_crash_at_any_step_of_a_rotation_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashing(at: int) -> Callable[..., Path]:
        real, calls = Path.rename, [0]

        def rename(self: Path, target: Path) -> Path:
            calls[0] += 1
            if calls[0] == at:
                raise KeyboardInterrupt
            return real(self, target)

        return rename

    for step in (1, 2):
        path = tmp_path / str(step) / "x.log"
        log = ChainLog(path, Rotation(size=10**6))
        log.append_all([{"n": n} for n in range(5)])
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", crashing(step))
            with pytest.raises(KeyboardInterrupt):
                log.rotate()
        log.close()
        again = ChainLog(path, Rotation(size=10**6))
        again.append({"n": 5})
        again.close()
        assert [entry["n"] for entry in entries(path)] == list(range(6))


@pytest.mark.requirement("SYS-AUDIT")
def test_a_rotation_that_the_disk_refuses_costs_no_entry_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(at: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        calls = [0]

        def once(real: Callable[..., Any]) -> Callable[..., Any]:
            def act(*arguments: Any) -> Any:
                calls[0] += 1
                if calls[0] == at:
                    raise OSError(28, "No space left on device")
                return real(*arguments)

            return act

        return once

    for step in (1, 2, 3, 4):  # two renames, two folders
        path = tmp_path / str(step) / "x.log"
        log = ChainLog(path, Rotation(size=400))
        with monkeypatch.context() as disk:
            once = refusing(step)
            disk.setattr(Path, "rename", once(Path.rename))
            disk.setattr(hashchain, "sync", once(hashchain.sync))
            for number in range(12):
                log.append({"n": number})  # raises nothing: each of them is on disk
        log.close()
        assert [entry["n"] for entry in entries(path)] == list(range(12)) and len(closed_files(path)) > 1
        ChainLog(path).close()


@pytest.mark.requirement("SYS-AUDIT")
def test_age_closes_a_file_too_and_a_missing_current_file_is_no_new_log(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.log", [0.0]
    log = ChainLog(path, Rotation(size=0, age=100.0), lambda: clock[0])
    log.append({"n": 0})
    clock[0] = 101.0
    log.append({"n": 1})
    log.close()
    assert len(closed_files(path)) == 1
    path.unlink()
    for opened in (ChainLog, verify):
        with pytest.raises(Tampered, match="missing"):
            opened(path)


@pytest.mark.requirement("SYS-AUDIT")
def test_what_a_full_disk_took_of_an_entry_is_no_part_of_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.log"
    log = ChainLog(path)
    log.append({"n": 0})

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("common.hashchain.os.fsync", full)
        with pytest.raises(OSError, match="space"):
            log.append({"n": 1})
    log.append({"n": 2})
    log.close()
    assert entries(path) == [{"n": 0}, {"n": 2}]


@pytest.mark.requirement("SYS-AUDIT")
def test_a_cut_end_an_exchanged_and_a_removed_log_are_found_by_the_seals(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "x.log"
    filled(path, 11)
    sealer = Sealer(tmp_path, time.time)
    assert sealer.look() == 1 and sealer.look() == 0 and not sealer.broken
    sealer.close()
    mark = sealed(tmp_path / SEALS)["audit/x.log"]
    assert check(path, mark) == 11
    good = path.read_bytes()
    path.write_bytes(b"".join(good.splitlines(keepends=True)[:-1]))
    assert verify(path) == 10, "the chain alone does not show it"
    with pytest.raises(Tampered, match=r"line \d+ with 10 entries, and 11 were sealed"):
        check(path, mark)
    found = Sealer(tmp_path, time.time)
    assert found.look() == 0 and "cut off" in found.broken["audit/x.log"]
    found.close()
    for file in [*closed_files(path), path]:
        file.unlink()
    log = ChainLog(path)
    log.append_all([{"number": n, "what": "forged"} for n in range(30)])
    log.close()
    with pytest.raises(Tampered, match="written anew"):
        check(path, sealed(tmp_path / SEALS)["audit/x.log"])
    path.unlink()
    gone = Sealer(tmp_path, time.time)
    gone.look(), gone.look()
    assert "missing" in gone.broken["audit/x.log"]
    gone.close()


@pytest.mark.requirement("SYS-AUDIT")
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_a_follower_sees_the_same_chain_whenever_it_looks(
    tmp_path_factory: pytest.TempPathFactory, bursts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "x.log"
    log, tail, written = ChainLog(path, Rotation(size=300)), Tail(path), 0
    for burst in bursts:
        for _ in range(burst):
            log.append({"n": written})
            written += 1
        tail.read()
        assert tail.entries == written
        assert tail.head == (link_head(path) if written else GENESIS)
    log.close()
    assert verify(path) == written


def link_head(path: Path) -> str:
    *_rest, last = links(path)
    return last.digest


@pytest.mark.requirement("SYS-AUDIT")
def test_half_a_line_is_waited_for_and_a_shorter_file_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    filled(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    tail = Tail(path)
    tail.read()
    assert tail.entries == 2
    path.write_bytes(whole)
    tail.read()
    assert tail.entries == 3
    os.truncate(path, 10)
    with pytest.raises(Tampered, match="shorter"):
        tail.read()
