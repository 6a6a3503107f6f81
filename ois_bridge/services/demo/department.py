"""`ptcs department seed`: patients of a demonstration department, one use case after the other."""

import random
import secrets
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _, set_language
from ois_bridge.domain.permissions import Action
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.services import alerts, registration
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.demo import contacts, people
from ois_bridge.services.demo.course_life import Cast, Clock, CourseLife, shifted, start_of
from ois_bridge.services.queue import board_notices, screens

AT_ONCE = 20
STRANGERS = 3
"""Other patients that may be there: those of the demonstration's own loop."""

ROLES = ("physician", "physicist", "therapist", "receptionist")
"""Of those who work on courses."""
OWN = (*ROLES, "operator", "service", "admin")
"""Accounts of a demonstration facility (config/roles.yaml); a seeding gives them persons' names."""

SCREENS = (
    ("候诊大厅", "hall", (), "zh en"),
    ("1 号治疗室门口", "door", ("ROOM1",), "zh"),
    ("签到机", "kiosk", (), ""),
)
"""Name, kind, devices, voice."""

TOLD = 4
"""All but every fourth patient have given a way to be told."""

STEPS_BEFORE_BEAM = 12
SHARES = {"new": 0.08, "preparing": 0.42, "treating": 0.38, "ended": 0.12}
ALERTS = (("pacemaker",), ("allergy",), ("fall",), ("infection",))


def seed(context: Context, caller: Caller, count: int, number: int) -> int:
    """Make `count` patients, each at some point of its course; returns how many the department has.

    `number`: of the random numbers. Raises BadInput, Unauthorised, Refused where real patients may be.
    """
    if not 1 <= count <= AT_ONCE:
        raise BadInput(_("At most {n} patients are made at once.").format(n=AT_ONCE))
    with context.permitted(caller, Action.SEED_DEPARTMENT, "department", str(count)) as session:
        have = seeded(session)
        scene = people.scene()
        _staff(session, context, scene["staff"])
        session.flush()
        contacts.of_staff(session, context, caller.user)
    if not have:
        _screens(context, caller, scene["notices"])
    copy_context().run(_patients, context, scene, range(have, have + count), number)
    return have + count


def _patients(context: Context, scene: Mapping[str, Any], indices: range, number: int) -> None:
    set_language("zh")  # they are people of a Chinese department, whoever asks for them
    for index in indices:
        _patient(context, scene, index + 1, random.Random(f"{number}/{index}"))  # noqa: S311 - names and dates


def seeded(session: Session) -> int:
    """Seeded patients. Raises Refused where there are others than the demonstration's own."""
    ours = Patient.patient_id.startswith(people.PREFIX, autoescape=True)
    every = session.scalar(select(func.count()).select_from(Patient)) or 0
    have = session.scalar(select(func.count()).select_from(Patient).where(ours)) or 0
    if every - have > STRANGERS:
        raise Refused(
            _("This OIS has {n} patients of its own; a demonstration department needs one without.").format(
                n=every - have
            )
        )
    return have


def _staff(session: Session, context: Context, rows: Sequence[Mapping[str, str]]) -> None:
    """Accounts that nobody can log in with until an administrator gives them a password."""
    known = {one.user: one for one in session.scalars(select(Account))}
    for row in rows:
        if row["user"] in OWN:
            if row["user"] in known:
                known[row["user"]].full_name = row["name"]
        elif row["user"] not in known:
            encoded = context.hasher.hash(secrets.token_urlsafe(32))
            account = Account(
                user=row["user"],
                full_name=row["name"],
                password_hash=encoded,
                must_change=True,
                created=context.now(),
            )
            account.role_rows = [AccountRole(role=row["role"])]
            session.add(account)


def _screens(context: Context, caller: Caller, rows: Sequence[Mapping[str, Any]]) -> None:
    """Screens that only have to be paired, and what runs over them."""
    for screen in SCREENS:
        screens.add(context, caller, *screen)
    now = context.now()
    for row in rows:
        board_notices.write(context, caller, row["zh"], row["en"], now, now + timedelta(days=row["days"]))


def _patient(context: Context, scene: Mapping[str, Any], number: int, chance: random.Random) -> None:
    now = context.now()
    sex = chance.choice("MF")
    what = people.disease(scene, chance, sex)
    share = chance.choices(list(SHARES), list(SHARES.values()))[0]
    given = {"treating": chance.randint(1, max(1, what.fractions - 1)), "ended": what.fractions + 8}.get(
        share, 0
    )
    steps = {"new": 0, "preparing": chance.randint(1, STEPS_BEFORE_BEAM - 1)}.get(share, STEPS_BEFORE_BEAM)
    clock = Clock(start_of(now.astimezone().date(), int(given * 1.45) + steps + chance.randint(0, 2)))
    secret = secrets.token_urlsafe(32)
    then = shifted(context, clock, secret)
    cast = _cast(scene, chance)
    entry = people.person(scene, chance, number, sex, clock.at.date())
    physician = cast.by_role["physician"].user
    course = people.first_course(scene, chance, what, physician)
    patient = registration.register(then, cast.by_role["receptionist"], entry, course)
    if chance.random() < 0.25:
        alerts.change(then, cast.by_role["receptionist"], patient.key, chance.choice(ALERTS))
    with then.database.writing() as session:
        key = session.scalars(select(Course.key).where(Course.patient_key == patient.key)).one()
        if number % TOLD:
            contacts.of_patient(session, then, patient.key, number, physician)
    if steps:
        life = CourseLife(then, secret, cast, scene["forms"], what, key)
        _live(life, clock, steps, share, chance, now)


def _live(
    life: CourseLife, clock: Clock, steps: int, share: str, chance: random.Random, now: datetime
) -> None:
    for _step in range(steps):
        clock.on(chance.uniform(3, 22))
        if clock.at >= now - timedelta(minutes=5) or not life.step(chance):
            break
    if share in ("treating", "ended"):
        life.reviewed(clock, now, chance)
    clock.at = now - timedelta(minutes=1)
    if share == "treating":
        life.treated(now - timedelta(minutes=40))
    if share == "ended":
        life.treated(now)
        life.end(chance)
        if chance.random() < 0.7:
            life.close()


def _cast(scene: Mapping[str, Any], chance: random.Random) -> Cast:
    """Who works on one course; the demonstration's own accounts have their share."""
    known: dict[str, list[str]] = {role: [] for role in ROLES}
    for row in scene["staff"]:
        if row["role"] in known:
            known[row["role"]].append(row["user"])
    callers = {
        role: [Caller(user, frozenset({role})) for user in chance.sample(users, len(users))]
        for role, users in known.items()
    }
    return Cast({role: found[0] for role, found in callers.items()}, callers["physicist"])
