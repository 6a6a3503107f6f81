"""The guard alone: full disk, re-used pids, keys that come later."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common import authority
from common.errors import Unauthorised
from common.hashchain import entries
from device_servers.callers import Client, client_of
from device_servers.guard import Guard

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME = Client("localhost", 1)


@pytest.fixture
def guard(tmp_path: Path) -> Any:
    made = Guard(tmp_path / "keys" / "public.pem", tmp_path / "audit" / "x.log", lambda: NOW)
    yield made
    made.shut()


def token(folder: Path, now: datetime = NOW) -> str:
    private = folder / "keys" / "private.pem"
    if not private.exists():
        authority.new_key(private, folder / "keys" / "public.pem")
    key = authority.load_private(private)
    return authority.issue(key, "otto", frozenset({"operator"}), now, timedelta(hours=1))


@pytest.mark.requirement("ACS-USERS")
def test_the_public_key_may_come_later(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(Unauthorised, match="start the OIS"):
        guard.open(ME, "anything")
    assert guard.open(ME, token(tmp_path)).identity.user == "otto"
    assert guard.user(ME) == "otto" and guard.user(Client("localhost", 2)) == ""


@pytest.mark.requirement("SYS-AUDIT")
def test_on_a_full_disk_only_the_safe_direction_works(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.open(ME, token(tmp_path))

    def full(_entry: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(guard._audit, "append", full)
        guard.check(ME, "accelerator", safe=False)
        guard.record(ME, "a/b/c", "On", "")
        with pytest.raises(Unauthorised, match="free disk space"):
            guard.check(ME, "accelerator", safe=False)
        guard.check(ME, "accelerator", safe=True)
    guard.check(ME, "accelerator", safe=False)
    guard.record(ME, "a/b/c", "Off", "")
    assert [entry["what"] for entry in entries(tmp_path / "audit" / "x.log")] == ["audit resumed", "Off"]


@pytest.mark.requirement("ACS-USERS")
def test_a_new_process_with_an_old_pid_is_another_client() -> None:
    local = SimpleNamespace(client_ip="giop:unix:/tmp/omni/1", client_pid=os.getpid())
    gone = SimpleNamespace(client_ip="giop:tcp:127.0.0.1:5", client_pid=2**22 + 1)
    far = SimpleNamespace(client_ip="giop:tcp:10.0.0.7:40000", client_pid=77)
    assert client_of(local).host == "localhost" and client_of(local).born.isdigit()
    assert client_of(local) != Client("localhost", os.getpid(), "1")
    assert client_of(gone) == Client("localhost", 2**22 + 1, "")
    assert client_of(far) == Client("10.0.0.7", 77)
    assert client_of(None) == Client("local", 0)


@pytest.mark.requirement("SYS-ACCESS")
def test_a_session_is_bound_to_the_user_whose_connection_it_is(guard: Guard, tmp_path: Path) -> None:
    """The number of a process is what a client says of itself; the user is what the kernel says."""
    otto = Client("localhost", 77, "1000", 1001)
    guard.open(otto, token(tmp_path))
    assert guard.user(otto) == "otto"
    forger = replace(otto, uid=1002)
    assert guard.user(forger) == ""
    with pytest.raises(Unauthorised, match="no session"):
        guard.check(forger, "accelerator", safe=True)
    guard.close(forger)
    assert guard.user(otto) == "otto"
