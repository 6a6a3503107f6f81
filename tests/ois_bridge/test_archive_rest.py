"""The machine's archive over REST: who may see it, what is refused, and what answers while it is away."""

import asyncio
import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from common import site
from common.errors import BadInput, LinkLost
from common.state import StateDir
from ois_bridge import application, process
from ois_bridge.domain.permissions import Action
from ois_bridge.services import accounts, keys
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.device_watch import Watch
from ois_bridge.tango_client import TangoFacility
from tests.ois_bridge.workflow_steps import SECRET, staff

pytestmark = pytest.mark.requirement("ACS-ARCHIVE", "OIS-API")

CURRENT = "acs/magnet/d1/Current"
PLACE = f"/api/v1/archive/{CURRENT}"


class Machines:
    """A facility whose archiver knows two attributes; it notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, float, int]] = []
        self.gone = False

    def read(self) -> Sequence[Any]:
        """No devices."""
        return []

    def archived(self, pattern: str) -> Sequence[str]:
        """Names that match."""
        if self.gone:
            raise LinkLost("the archiver is gone")
        return [name for name in (CURRENT, "acs/magnet/d2/Current") if fnmatch.fnmatch(name, pattern)]

    def history(self, attribute: str, start: float, end: float, points: int) -> Mapping[str, Any]:
        """Two samples of what is known."""
        if self.gone:
            raise LinkLost("the archiver is gone")
        if points == 13:
            raise BadInput("thirteen is not taken")
        self.asked.append((attribute, start, end, points))
        rows = 2 if attribute == CURRENT else 0
        floats = {name: [1.5, None][:rows] for name in ("minimum", "maximum", "mean", "last")}
        counts = {"count": [1, 0][:rows], "unknown": [0, 1][:rows], "time": [start, end][:rows]}
        head = {"attribute": attribute, "start": start, "end": end, "width": 0.0}
        return {**head, "before": [start - 1, "Infinity"] if rows else None, **counts, **floats}


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    root = tmp_path_factory.mktemp("history")
    built = process.build(StateDir(root), site.load())
    staff(built)
    yield built
    built.close()


@pytest.fixture
def machines() -> Machines:
    return Machines()


@pytest.fixture
def ask(means: Context, machines: Machines) -> Callable[..., httpx.Response]:
    """Asks the interface, as the physicist unless another token is given."""
    app = application.create(replace(means, machines=Watch(machines)))
    usual = accounts.log_in(means, "physicist", SECRET).token

    def get(path: str, token: str = usual, **params: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.get(path, headers=headers, params=params)

        return asyncio.run(once())

    return get


def test_names_and_values(ask: Callable[..., httpx.Response], machines: Machines, means: Context) -> None:
    assert ask("/api/v1/archive").json() == {"attributes": [CURRENT, "acs/magnet/d2/Current"]}
    assert ask("/api/v1/archive", match="*/d1/*").json() == {"attributes": [CURRENT]}
    found = ask(PLACE, start="2026-03-01T08:00Z", end="2026-03-01T09:00Z", points=100)
    assert found.status_code == 200, found.text
    start = 1772352000.0
    assert machines.asked == [(CURRENT, start, start + 3600, 100)]
    told = found.json()
    assert told["last"] == [1.5, None]
    assert told["before"] == [start - 1, "Infinity"]
    assert told["unknown"] == [0, 1]
    ask(PLACE)
    attribute, first, last, points = machines.asked[-1]
    assert (attribute, points) == (CURRENT, 2000)
    assert last - first == pytest.approx(3600)
    assert abs(last - means.now().timestamp()) < 60


def test_what_cannot_be_is_refused(ask: Callable[..., httpx.Response]) -> None:
    cases = [
        ({"start": "yesterday"}, 422, "no time"),
        ({"start": "now", "end": "-1h"}, 422, "ends before"),
        ({"start": "2100-01-01", "end": "2101-01-01"}, 422, "future"),
        ({"points": 0}, 422, "points"),
        ({"points": 10**9}, 422, "points"),
        ({"points": "many"}, 422, "points"),
        ({"points": 13}, 422, "thirteen"),
    ]
    for params, status, words in cases:
        answer = ask(PLACE, **params)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    unknown = ask("/api/v1/archive/acs/magnet/d9/Current")
    assert (unknown.status_code, "not archived" in unknown.json()["error"]) == (404, True)
    assert ask("/api/v1/archive/acs/magnet/d2/Current").json()["time"] == []
    assert ask("/api/v1/archive/acs/magnet/d1").status_code == 404


def test_who_may_see_it(ask: Callable[..., httpx.Response], means: Context) -> None:
    assert ask(PLACE, token="").status_code == 401
    for user in ("physician", "therapist", "receptionist"):
        answer = ask(PLACE, token=accounts.log_in(means, user, SECRET).token)
        assert answer.status_code == 403, answer.text
        assert "may not read the archive" in answer.json()["error"]
    admin = Caller("admin", frozenset({"administrator"}))
    may = keys.create(means, admin, "trends", [Action.READ_ARCHIVE.name], 30)
    may_not = keys.create(means, admin, "lists", [Action.READ_PATIENTS.name], 30)
    assert ask(PLACE, token=may).status_code == 200
    assert ask("/api/v1/archive", token=may_not).status_code == 403
    assert ask("/api/v1/patients", token=may).status_code == 403


def test_an_archiver_that_is_away_is_told(
    ask: Callable[..., httpx.Response], machines: Machines, means: Context, tmp_path: Path
) -> None:
    machines.gone = True
    for path in (PLACE, "/api/v1/archive"):
        answer = ask(path)
        assert (answer.status_code, answer.json()) == (503, {"error": "the archiver is gone"})
    nowhere = TangoFacility(StateDir(tmp_path), site.load())
    with pytest.raises(LinkLost, match="No facility runs"):
        nowhere.history(CURRENT, 0.0, 1.0, 10)
    with pytest.raises(LinkLost, match="No facility is connected"):
        Watch().archived("*")


def test_the_description_names_it(ask: Callable[..., httpx.Response]) -> None:
    paths = ask("/api/v1/openapi.json").json()["paths"]
    told = paths["/api/v1/archive/{domain}/{family}/{member}/{attribute}"]["get"]["responses"]
    assert {"200", "401", "403", "404", "422", "503"} <= set(told)
    assert told["200"]["content"]["application/json"]["schema"]["$ref"].endswith("History")
