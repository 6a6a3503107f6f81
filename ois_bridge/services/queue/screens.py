"""Screens without a log-in: paired by an administrator, known by a secret, showing masked names only."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.queue.masking import is_chinese, masked_name, spoken_name
from ois_bridge.models.queue import QueueCall, Screen, ScreenNotice
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound, NotLoggedIn
from ois_bridge.services.patients import must
from ois_bridge.services.queue import listing, pictures
from ois_bridge.services.queue.listing import Queue
from ois_bridge.services.queue.settings import Both, settings, title, titles

KINDS = ("door", "hall", "kiosk")
VOICES = ("", "zh", "en", "zh en")
"""Languages that a screen speaks, in this order; empty: none."""


@dataclass(frozen=True)
class Shown:
    """What a paired browser is. `devices`: those it shows, all for an empty list."""

    key: str
    name: str
    kind: str
    devices: tuple[str, ...]
    voice: tuple[str, ...]
    csrf_token: str

    @property
    def caller(self) -> Caller:
        """The screen as a caller: it may look and sign patients in, nothing else."""
        return Caller(f"screen {self.name}"[:64], frozenset({"screen"}))


@dataclass(frozen=True)
class Called:
    """One call as the screens show it: `texts` by language."""

    key: str
    number: int
    name: str
    place: Both
    texts: Both
    count: int


@dataclass(frozen=True)
class Board:
    """All that a screen shows. `pictures`: key and seconds of those of the hall."""

    queues: tuple[Queue, ...]
    calls: tuple[Called, ...]
    notices: tuple[Both, ...]
    pictures: tuple[tuple[str, int], ...] = ()


def all_of_them(session: Session) -> Sequence[Screen]:
    """The screens, by name."""
    return session.scalars(select(Screen).order_by(Screen.name, Screen.key)).all()


def add(context: Context, caller: Caller, name: str, kind: str, devices: Sequence[str], voice: str) -> Screen:
    """A screen, not yet paired. Raises BadInput."""
    name = name.strip()
    with context.permitted(caller, Action.MANAGE_SCREENS, f"screen {name}") as session:
        known = titles(session)
        if not 1 <= len(name) <= 50 or kind not in KINDS or voice not in VOICES:
            raise BadInput(
                _("A screen needs a name of 1 to 50 characters, a kind ({kinds}) and a voice.").format(
                    kinds=", ".join(KINDS)
                )
            )
        if not set(devices) <= known.keys() or (kind == "door" and len(devices) != 1):
            raise BadInput(
                _("A door screen needs one device; known are {names}.").format(names=", ".join(known))
            )
        row = Screen(
            name=name,
            kind=kind,
            devices=" ".join(devices),
            voice=voice,
            created=context.now(),
            created_by=caller.user,
        )
        session.add(row)
    return row


def remove(context: Context, caller: Caller, key: str) -> None:
    """Remove a screen: its browser is shown nothing from now on. Raises NotFound."""
    with context.permitted(caller, Action.MANAGE_SCREENS, f"screen {key}", "remove") as session:
        session.delete(must(session.get(Screen, key)))
        events.announce(session, "screens", key)


def pair(context: Context, caller: Caller, key: str) -> str:
    """Make the caller's browser this screen; returns the secret for its cookie. An earlier one ends."""
    secret = secrets.token_urlsafe(32)
    with context.permitted(caller, Action.MANAGE_SCREENS, f"screen {key}", "pair") as session:
        row = must(session.get(Screen, key))
        row.secret_hash, row.csrf_token = _digest(secret), secrets.token_urlsafe(32)
        row.paired = context.now()
    return secret


def of_secret(context: Context, secret: str) -> Shown:
    """The screen that a cookie belongs to. Raises NotLoggedIn."""
    with context.database.reading() as session:
        row = session.scalar(select(Screen).where(Screen.secret_hash == _digest(secret))) if secret else None
        if row is None:
            raise NotLoggedIn(_("This browser is not paired as a screen; an administrator can do that."))
        return Shown(
            row.key, row.name, row.kind, tuple(row.devices.split()), tuple(row.voice.split()), row.csrf_token
        )


def board(context: Context, shown: Shown) -> Board:
    """What the screen shows now."""
    now = context.now()
    with context.reading(shown.caller, Action.LOOK_AT_SCREEN) as session:
        devices = shown.devices or tuple(titles(session))
        calls = session.scalars(
            select(QueueCall)
            .where(
                QueueCall.device.in_(devices),
                QueueCall.time > now - timedelta(seconds=settings().shown_s),
            )
            .order_by(QueueCall.time.desc())
        )
        newest: dict[str, QueueCall] = {}
        for row in calls:
            if row.appointment.state is AppointmentState.CALLED:
                newest.setdefault(row.appointment_key, row)
        notices = session.scalars(
            select(ScreenNotice)
            .where(ScreenNotice.finish > now, ScreenNotice.start <= now)
            .order_by(ScreenNotice.start)
        )
        return Board(
            tuple(listing.of_devices(session, devices, now)),
            tuple(_called(session, row) for row in newest.values()),
            tuple({"zh": row.text_zh, "en": row.text_en} for row in notices),
            tuple((row.key, row.seconds) for row in pictures.shown(session)) if shown.kind == "hall" else (),
        )


def sound(context: Context, shown: Shown, call_key: str) -> tuple[bytes, bool]:
    """A call as WAV, in the screen's languages. Raises NotFound for a call of another device, LinkLost."""
    with context.reading(shown.caller, Action.LOOK_AT_SCREEN) as session:
        row = session.get(QueueCall, call_key)
        if row is None or (shown.devices and row.device not in shown.devices):
            raise NotFound(_("There is no such call."))
        patient, place = row.appointment.patient, title(session, row.device)
        name = patient.name if patient else ""
        number = row.appointment.queue_number or 0
        texts = []
        for language in shown.voice:
            said = spoken_name(name) if language == "zh" and is_chinese(name) else ""
            text = settings().spoken[language].format(number=number, name=said, place=place[language])
            texts.append((language, text))
    return context.voice.sound(texts)


def _called(session: Session, row: QueueCall) -> Called:
    visit, place = row.appointment, title(session, row.device)
    name = masked_name(visit.patient.name) if visit.patient else ""
    number = visit.queue_number or 0
    texts = {
        code: settings().calls[code].format(number=number, name=name, place=place[code])
        for code in ("zh", "en")
    }
    return Called(row.key, number, name, place, texts, row.count)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
