"""All parts of the REST interface."""

from collections.abc import Sequence

from fastapi import APIRouter

from ois_bridge.interfaces.rest import (
    appointments,
    archive,
    department,
    entry,
    forms,
    merging,
    patients,
    permissions,
    plans,
    queue,
    record,
    search,
    signatures,
    tasks,
)

API: Sequence[APIRouter] = tuple(
    part.router
    for part in (
        entry,
        search,
        patients,
        merging,
        plans,
        signatures,
        tasks,
        forms,
        queue,
        record,
        appointments,
        department,
        archive,
        permissions,
    )
)
