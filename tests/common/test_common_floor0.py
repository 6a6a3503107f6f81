"""Floor 0: authority, hash chain, wire codecs, site file, units."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common import authority, hashchain, site
from common.clock import ClockRate, seconds, ticks
from common.errors import BadConfig, BadInput, Tampered, Unauthorised
from common.files import write_atomic
from common.units import air_density_correction
from common.wire.frame import Decoder, Frame, Kind, encode
from common.wire.scpi import LineDecoder, answer, number

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    authority.new_key(private, public)
    return private, public


@pytest.mark.requirement("SYS-ACCESS")
def test_token_names_its_user_until_it_expires(keys: tuple[Path, Path]) -> None:
    private, public = (authority.load_private(keys[0]), authority.load_public(keys[1]))
    token = authority.issue(private, "li", frozenset({"therapist"}), NOW, timedelta(minutes=5))
    identity = authority.verify(public, token, NOW)
    assert (identity.user, identity.roles) == ("li", frozenset({"therapist"}))
    authority.check_write(identity, "treatment", NOW)
    with pytest.raises(Unauthorised, match="allowed are operator, service"):
        authority.check_write(identity, "accelerator", NOW)
    with pytest.raises(Unauthorised, match="expired"):
        authority.verify(public, token, NOW + timedelta(minutes=5))
    assert keys[0].stat().st_mode & 0o077 == 0


@pytest.mark.requirement("SYS-ACCESS")
def test_forged_token_and_statement_are_refused(keys: tuple[Path, Path], tmp_path: Path) -> None:
    authority.new_key(tmp_path / "other.pem", tmp_path / "other_public.pem")
    forger = authority.load_private(tmp_path / "other.pem")
    public = authority.load_public(keys[1])
    with pytest.raises(Unauthorised):
        authority.verify(public, authority.issue(forger, "li", frozenset(), NOW), NOW)
    with pytest.raises(Unauthorised):
        authority.verify(public, "nonsense", NOW)
    with pytest.raises(Tampered):
        authority.read_statement(public, authority.sign(forger, {"hash": "1"}))
    honest = authority.load_private(keys[0])
    assert authority.read_statement(public, authority.sign(honest, {"hash": "1"})) == {"hash": "1"}


@pytest.mark.requirement("SYS-AUDIT")
def test_any_changed_byte_of_a_chain_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = hashchain.ChainLog(path)
    for count in range(3):
        log.append({"what": "写", "count": count})
    log.close()
    assert hashchain.verify(path) == 3
    good = path.read_bytes()
    for place in range(0, len(good) - 1, 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises((Tampered, UnicodeDecodeError)):
            assert hashchain.verify(path) == 3
            raise AssertionError(f"change at byte {place} went unnoticed")
    path.write_bytes(good + b'{"hash": "torn')
    log = hashchain.ChainLog(path)
    log.append({"after": "crash"})
    log.close()
    assert hashchain.entries(path)[-1] == {"after": "crash"}


@given(st.binary(max_size=200), st.integers(1, 40))
def test_frames_survive_any_split(noise: bytes, size: int) -> None:
    arrays = {
        "x": np.arange(5.0),
        "count": np.array([[1, 2], [3, 4]], np.int64),
        "raw": np.frombuffer(noise, np.uint8),
    }
    sent = [Frame(Kind.REQUEST, 7, {"do": "set", "value": 1.5}, arrays, 123, 456), Frame(Kind.HEARTBEAT, 8)]
    data = b"".join(encode(frame) for frame in sent)
    decoder = Decoder()
    got = [frame for start in range(0, len(data), size) for frame in decoder.feed(data[start : start + size])]
    assert [(f.kind, f.sequence, dict(f.body), f.tick, f.wall_ns) for f in got] == [
        (f.kind, f.sequence, dict(f.body), f.tick, f.wall_ns) for f in sent
    ]
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[0].arrays[name], array)


@given(st.integers(0, 60), st.integers(1, 255))
def test_damaged_frame_is_refused_or_incomplete(place: int, flip: int) -> None:
    data = bytearray(encode(Frame(Kind.BLOCK, 1, {}, {"values": np.arange(3.0)})))
    damaged = data.copy()
    damaged[place] ^= flip
    try:
        got = list(Decoder().feed(bytes(damaged)))
    except BadInput:
        return
    payload_intact = damaged[36:] == data[36:]
    assert got == [] or payload_intact


def test_scpi_lines() -> None:
    decoder = LineDecoder()
    assert list(decoder.feed(b"MEAS:TE")) == []
    assert list(decoder.feed(b"MP?\r\n*IDN?\n")) == ["MEAS:TEMP?", "*IDN?"]
    assert number(answer(21.53).decode().strip()) == 21.53
    with pytest.raises(BadInput):
        number("ERR")
    with pytest.raises(BadInput):
        list(decoder.feed(b"x" * 2000))


def test_site_names_what_is_wrong(tmp_path: Path) -> None:
    good = yaml.safe_load(site.DEFAULT_SITE.read_text(encoding="utf-8"))
    assert site.load().device("room1/beam/nozzle").tango_class == "Nozzle"
    for change, message in [
        (lambda c: c["clock"].update(factor=0.5), "0.5 is less than the minimum"),
        (lambda c: c["devices"][0].update(server="nowhere"), "unknown server nowhere"),
        (lambda c: c["devices"].append(c["devices"][0]), "named twice"),
        (lambda c: c.pop("machine"), "machine"),
    ]:
        content = json.loads(json.dumps(good))
        change(content)
        path = tmp_path / "site.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        with pytest.raises(BadConfig, match=message):
            site.load(path)


@given(st.floats(1, 100), st.integers(0, 10**12))
def test_ticks_and_wall_time_agree(factor: float, tick: int) -> None:
    rate = ClockRate(factor, 1_700_000_000_000_000_000)
    assert abs(rate.tick_at(rate.wall_ns_at(tick)) - tick) <= factor + 1
    assert ticks(seconds(tick)) == tick


def test_air_density_correction() -> None:
    assert air_density_correction(20.0, 1013.25) == 1.0
    assert air_density_correction(25.0, 1000.0) == pytest.approx(1.030532, abs=1e-6)
    with pytest.raises(ValueError, match="temperature and pressure station"):
        air_density_correction(60.0, 1013.25)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
