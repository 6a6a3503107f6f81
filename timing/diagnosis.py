"""Names the cause of timing errors from what several receivers saw: a table of patterns.

Errors that every receiver shares come from the generator, those of some receivers from their links
or from themselves. Rows are tried in order; the first one that fits a receiver explains it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from common.clock import TICK_NS
from common.text import _
from timing.checker import Fault, Finding
from timing.monitor import Observation, Pulse


class Cause(StrEnum):
    """What can be wrong with the timing system."""

    GENERATOR_SILENT = "generator silent"
    HEARTBEAT_STOPPED = "heartbeat stopped"
    RECEIVER_DEAF = "receiver deaf"
    LINK_LOST = "link lost"
    WRONG_SEQUENCE = "wrong sequence loaded"
    SEQUENCER_STOPPED = "sequencer stopped"
    CLOCK_DRIFT = "generator clock drifts"
    RECEIVER_DRIFT = "receiver clock drifts"
    SEQUENCE_SHIFTED = "sequence shifted"
    LINK_DELAY = "link delay wrong"
    RECEIVER_IGNORES = "receiver ignores the machine's events"
    EVENT_NOT_SENT = "event not sent"
    EVENTS_LOST = "events lost on the link"
    EXTRA_EVENTS = "events of another source"
    JITTER = "events irregular"
    COLLISION = "collision"
    PULSER_SILENT = "pulser silent"
    PRESCALER = "prescaler wrong"
    PULSER_DELAY = "pulser delay wrong"
    PULSER_WIDTH = "pulser width wrong"


@dataclass(frozen=True)
class Diagnosis:
    """`where`: the receiver or "receiver/pulser"; empty for the generator. `text` is for the reader."""

    cause: Cause
    where: str
    text: str
    deviation: float = 0.0


@dataclass(frozen=True)
class Signs:
    """One receiver's findings in the words of the table. shift: ticks; drift: ticks per tick."""

    alive: bool
    quiet: bool
    missed: frozenset[int]
    unexpected: frozenset[int]
    shift: float | None
    drift: float | None
    irregular: bool


@dataclass(frozen=True)
class Row:
    """A pattern. `everywhere`: it speaks of the generator, and must fit every receiver."""

    cause: Cause
    everywhere: bool
    fits: Callable[[Signs], bool]
    text: Callable[[], str]
    size: Callable[[Signs], float] = lambda _signs: 0.0


TABLE: tuple[Row, ...] = (
    Row(
        Cause.GENERATOR_SILENT,
        True,
        lambda s: not s.alive and s.quiet,
        lambda: _("no receiver gets anything: the event generator or its link is down"),
    ),
    Row(
        Cause.HEARTBEAT_STOPPED,
        True,
        lambda s: not s.alive,
        lambda: _("no receiver has had a heartbeat for 1.6 s: the generator's heartbeat has stopped"),
    ),
    Row(
        Cause.RECEIVER_DEAF,
        False,
        lambda s: not s.alive and s.quiet,
        lambda: _("receiver {where} gets nothing, the others do: its fibre or its input is broken"),
    ),
    Row(
        Cause.LINK_LOST,
        False,
        lambda s: not s.alive,
        lambda: _("receiver {where} has had no heartbeat for 1.6 s: its link is lost"),
    ),
    Row(
        Cause.WRONG_SEQUENCE,
        True,
        lambda s: bool(s.missed and s.unexpected),
        lambda: _("other events come than those expected ({codes}): a wrong sequence is loaded"),
    ),
    Row(
        Cause.SEQUENCER_STOPPED,
        True,
        lambda s: s.quiet,
        lambda: _("heartbeats come, but no event of the machine cycle: the sequencer has stopped"),
    ),
    Row(
        Cause.CLOCK_DRIFT,
        True,
        lambda s: s.drift is not None,
        lambda: _("events drift by {ppm:+.3g} ppm at all receivers: the generator's clock is off"),
        lambda s: s.drift or 0.0,
    ),
    Row(
        Cause.RECEIVER_DRIFT,
        False,
        lambda s: s.drift is not None,
        lambda: _("events drift by {ppm:+.3g} ppm at receiver {where} alone: its clock is off"),
        lambda s: s.drift or 0.0,
    ),
    Row(
        Cause.SEQUENCE_SHIFTED,
        True,
        lambda s: s.shift is not None,
        lambda: _("every event is off by {us:+.3f} us at all receivers: the sequence is triggered wrongly"),
        lambda s: s.shift or 0.0,
    ),
    Row(
        Cause.LINK_DELAY,
        False,
        lambda s: s.shift is not None,
        lambda: _("every event is off by {us:+.3f} us at receiver {where} alone: its link delay is wrong"),
        lambda s: s.shift or 0.0,
    ),
    Row(
        Cause.RECEIVER_IGNORES,
        False,
        lambda s: s.quiet,
        lambda: _("receiver {where} hears heartbeats but no machine event: its event map is wrong"),
    ),
    Row(
        Cause.EVENT_NOT_SENT,
        True,
        lambda s: bool(s.missed),
        lambda: _("event {codes} reaches no receiver: it is masked, or missing from the sequence"),
    ),
    Row(
        Cause.EVENTS_LOST,
        False,
        lambda s: bool(s.missed),
        lambda: _("receiver {where} misses event {codes} that the others get: its link is bad"),
    ),
    Row(
        Cause.EXTRA_EVENTS,
        True,
        lambda s: bool(s.unexpected),
        lambda: _("event {codes} comes without being expected: another source sends it"),
    ),
    Row(
        Cause.EXTRA_EVENTS,
        False,
        lambda s: bool(s.unexpected),
        lambda: _("receiver {where} gets event {codes} that nobody sent: its link is bad"),
    ),
    Row(
        Cause.JITTER,
        False,
        lambda s: s.irregular,
        lambda: _("events at receiver {where} are off by changing amounts: its clock recovery is unstable"),
    ),
)


def diagnose(
    observations: Sequence[Observation], collisions: Iterable[Finding] = (), tolerance: int = 0
) -> list[Diagnosis]:
    """The causes that explain what the receivers saw, generator first. Nothing wrong: none."""
    collided = list(collisions)
    found = [_collision(finding) for finding in {(f.event.code): f for f in collided}.values()]
    excused = {(f.event.tick + f.deviation, f.event.code) for f in collided}
    signs = {o.receiver: _signs(o, excused) for o in observations}
    open_ones = dict(signs)
    for row in TABLE:
        fitting = {name: s for name, s in open_ones.items() if row.fits(s)}
        if row.everywhere:
            if fitting and len(fitting) == len(signs):
                found.append(_named(row, "", next(iter(fitting.values()))))
                open_ones.clear()
        else:
            found += [_named(row, name, s) for name, s in fitting.items()]
            open_ones = {name: s for name, s in open_ones.items() if name not in fitting}
    for seen in observations:
        for name, pulse in seen.pulses.items():
            found += _pulser(f"{seen.receiver}/{name}", pulse, tolerance)
    return found


def _named(row: Row, where: str, signs: Signs) -> Diagnosis:
    size = row.size(signs)
    codes = ", ".join(f"0x{code:02X}" for code in sorted(signs.missed | signs.unexpected))
    text = row.text().format(where=where, codes=codes, us=size * TICK_NS / 1000.0, ppm=size * 1e6)
    return Diagnosis(row.cause, where, text, size)


def _collision(finding: Finding) -> Diagnosis:
    text = _("event {code} was due while another went out, and came {ticks} ticks late: two sources collide")
    shown = text.format(code=f"0x{finding.event.code:02X}", ticks=finding.deviation)
    return Diagnosis(Cause.COLLISION, "", shown, finding.deviation)


def _signs(seen: Observation, excused: set[tuple[int, int]]) -> Signs:
    findings = [f for f in seen.findings if (f.event.tick, f.event.code) not in excused]
    missed = frozenset(f.event.code for f in findings if f.fault is Fault.MISSED)
    off = [(f.event.tick, f.deviation) for f in findings if f.fault in (Fault.LATE, Fault.EARLY)]
    drift, shift = _slope(off), _shift(off)
    return Signs(
        alive=seen.alive,
        quiet=seen.matched == 0 and bool(missed),
        missed=missed,
        unexpected=frozenset(f.event.code for f in findings if f.fault is Fault.UNEXPECTED),
        shift=shift,
        drift=drift if shift is None else None,
        irregular=bool(off) and shift is None and drift is None,
    )


def _shift(off: Sequence[tuple[int, int]]) -> float | None:
    """The deviation in ticks that all share, within 2 ticks or a tenth of it."""
    if not off:
        return None
    sizes = [size for _tick, size in off]
    middle = float(median(sizes))
    return middle if max(sizes) - min(sizes) <= max(2.0, 0.1 * abs(middle)) else None


def _slope(off: Sequence[tuple[int, int]]) -> float | None:
    """Ticks per tick of deviations that lie on one line (three at least), within 2 ticks or a tenth."""
    if len(off) < 3:
        return None
    first, last = off[0], off[-1]
    if last[0] == first[0]:
        return None
    slope = (last[1] - first[1]) / (last[0] - first[0])
    allowed = max(2.0, 0.1 * abs(last[1] - first[1]))
    on_line = all(abs(size - first[1] - slope * (tick - first[0])) <= allowed for tick, size in off)
    return slope if slope and on_line else None


def _pulser(where: str, pulse: Pulse, tolerance: int) -> list[Diagnosis]:
    """What is wrong with a pulser whose event came. A common factor of delay and width is a prescaler."""
    if pulse.delay is None or pulse.width is None:
        text = _("pulser {where} gives no pulse on its event: it is disabled, or mapped to another event")
        return [Diagnosis(Cause.PULSER_SILENT, where, text.format(where=where))]
    late, longer = pulse.delay - pulse.wanted_delay, pulse.width - pulse.wanted_width
    if abs(late) <= tolerance and abs(longer) <= tolerance:
        return []
    factor = pulse.width / pulse.wanted_width
    if late and longer and abs(pulse.delay - factor * pulse.wanted_delay) <= max(1, tolerance):
        text = _("pulser {where}: delay and width are {factor:g} times those wanted: its prescaler is wrong")
        return [Diagnosis(Cause.PRESCALER, where, text.format(where=where, factor=factor), factor)]
    found = []
    if abs(late) > tolerance:
        text = _("pulser {where} comes {us:+.3f} us off: its delay is wrong")
        shown = text.format(where=where, us=late * TICK_NS / 1000.0)
        found.append(Diagnosis(Cause.PULSER_DELAY, where, shown, late))
    if abs(longer) > tolerance:
        text = _("pulse of {where} is {us:+.3f} us too long or short: its width is wrong")
        shown = text.format(where=where, us=longer * TICK_NS / 1000.0)
        found.append(Diagnosis(Cause.PULSER_WIDTH, where, shown, longer))
    return found
