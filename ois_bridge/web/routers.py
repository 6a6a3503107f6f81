"""All pages. Within one address the first router that fits answers."""

from collections.abc import Sequence

from fastapi import APIRouter

from ois_bridge.web import (
    accounts,
    board,
    course_changes,
    courses,
    devices,
    entry,
    expired,
    exports,
    follow_up,
    form_designs,
    forms,
    live,
    merging,
    outbox,
    patients,
    processes,
    record,
    registration,
    restrictions,
    reviews,
    shipped,
    tasks,
)
from ois_bridge.web.appointments import calendar, downtime, plans, sheet, visits
from ois_bridge.web.queue import features, kiosk, notices, order, pictures, screens, therapist

PAGES: Sequence[APIRouter] = tuple(
    room.router
    for room in (
        entry,
        expired,
        tasks,
        forms,
        shipped,
        processes,
        form_designs,
        board,
        devices,
        accounts,
        patients,
        registration,
        merging,
        restrictions,
        outbox,
        live,
        order,
        notices,
        kiosk,
        features,
        pictures,
        screens,
        therapist,
        record,
        courses,
        course_changes,
        reviews,
        follow_up,
        exports,
        sheet,
        plans,
        calendar,
        downtime,
        visits,
    )
)
