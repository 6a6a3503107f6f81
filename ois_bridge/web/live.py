"""Server-sent events: `/live/queue,tasks` tells a page that something changed; the page then asks what.

One task a listener, woken by the hub; a stream ends after ten minutes, so that the browser connects again
and its right is looked at again. The browser's Last-Event-ID lets it miss nothing in between.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.services import accounts
from ois_bridge.services.context import Caller
from ois_bridge.services.events import Event, Hub
from ois_bridge.web.session import COOKIE, Means

router = APIRouter(include_in_schema=False)

HEARTBEAT_S = 15.0
LONGEST_S = 600.0
MOST_WAITING = 100
"""Events a slow listener may have waiting; with more it is told to look at everything anew."""

RIGHT: dict[str, Action] = {
    "queue": Action.READ_QUEUE,
    "appointments": Action.READ_PATIENTS,
    "tasks": Action.READ_PATIENTS,
    "devices": Action.READ_DEVICES,
    "outbox": Action.MANAGE_OUTBOX,
    "screens": Action.READ_QUEUE,
}


def listener(request: Request, context: Means) -> Caller:
    """Who listens. Looking on keeps no session awake. Raises NotLoggedIn."""
    return accounts.web_user(context, request.cookies.get(COOKIE, ""), awake=False).caller


@router.get("/live/{topics}")
async def live(
    request: Request, context: Means, topics: str, caller: Annotated[Caller, Depends(listener)]
) -> Response:
    """Events of some topics, separated by commas. Raises BadInput, Unauthorised."""
    wanted = frozenset(topics.split(","))
    if not wanted <= RIGHT.keys():
        raise BadInput(_("Topics are {names}.").format(names=", ".join(RIGHT)))
    for topic in wanted:
        caller.check(RIGHT[topic])
    return stream(context.events, wanted, request.headers.get("last-event-id", ""))


def stream(hub: Hub, topics: Collection[str], last: str) -> Response:
    """An answer that goes on: the missed events, then each as it happens."""
    return StreamingResponse(
        _lines(hub, topics, last), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _lines(hub: Hub, topics: Collection[str], last: str) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Event | None] = asyncio.Queue()

    def tell(event: Event | None) -> None:
        if event is None or event.topic in topics:
            loop.call_soon_threadsafe(waiting.put_nowait, event)

    end = hub.listen(tell)
    deadline = loop.time() + LONGEST_S
    try:
        yield b"retry: 2000\n\n"
        missed = hub.since(last, topics)
        for one in missed:
            yield _line(hub, one)
        newest = missed[-1].number if missed else 0
        while (left := deadline - loop.time()) > 0:
            event = await _next(waiting, min(left, HEARTBEAT_S))
            if event is _NOTHING:
                yield b": still here\n\n"
            elif event is None:
                return
            elif event.number > newest:
                yield _line(hub, _caught_up(waiting, event))
    finally:
        end()


_NOTHING = Event(0, "")


async def _next(waiting: "asyncio.Queue[Event | None]", seconds: float) -> Event | None:
    """The next event; `_NOTHING` when none came in time."""
    try:
        return await asyncio.wait_for(waiting.get(), seconds)
    except TimeoutError:
        return _NOTHING


def _caught_up(waiting: "asyncio.Queue[Event | None]", event: Event) -> Event:
    """The event; for a listener that fell behind, one that stands for all that wait of its topic."""
    if waiting.qsize() <= MOST_WAITING:
        return event
    kept: list[Event | None] = []
    while not waiting.empty():
        other = waiting.get_nowait()
        if other is None or other.topic != event.topic:
            kept.append(other)
        else:
            event = Event(other.number, other.topic, "*")
    for other in kept:
        waiting.put_nowait(other)
    return event


def _line(hub: Hub, event: Event) -> bytes:
    return f"id: {hub.identity(event)}\nevent: {event.topic}\ndata: {event.about}\n\n".encode()
