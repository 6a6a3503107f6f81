"""`ptcs department seed N`: a demonstration department of persons who do not exist."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from common.errors import Refused
from common.files import read_json
from common.links.http import JsonClient
from common.state import StateDir
from common.text import _
from ptcs.running import state_option

console = Console()
PATIENTS_OF_ONE_SCAN = 7
STEP = 4
"""Patients of one request: small, so that the bar moves."""


@click.group()
def department() -> None:
    """The department of a running facility."""


@department.command()
@state_option
@click.argument("number", type=click.IntRange(1, 2000))
@click.option(
    "--images",
    type=click.IntRange(0, 200),
    help="Patients with images, plan and treatment records. Default: one of seven.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random numbers.")
@click.option("--user", default="admin", show_default=True, help="An administrator.")
@click.option("--password", default="", help="Their password (default: the demonstration's).")
def seed(state: Path, number: int, images: int | None, seed: int, user: str, password: str) -> None:
    """Add NUMBER patients, each at some point of their course; nobody of them exists."""
    count = fill(StateDir(state.resolve()), number, seed, user, password, images)
    console.print(_("The department has {n} patients who do not exist.").format(n=count))


def fill(
    state: StateDir,
    number: int,
    seed: int = 1,
    user: str = "admin",
    password: str = "",
    images: int | None = None,
) -> int:
    """Add patients to the running OIS of a state directory; returns how many it has then.

    images: so many of them get a scan, a plan and the records of their fractions; None: one of seven.
    Raises Refused where no OIS runs or where it has patients of its own, Unauthorised.
    """
    count = 0
    with JsonClient(_address(state)) as ois:
        secret = password or read_json(state.demo_accounts)[user]
        token = ois.post("/login", {"user": user, "password": secret})["token"]
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)
    with JsonClient(_address(state), token, timeout_s=120.0) as ois, bar:
        task = bar.add_task(_("Patients"), total=number)
        for begun in range(0, number, STEP):
            body = {"count": min(STEP, number - begun), "seed": seed}
            count = int(ois.post("/department/seed", body)["patients"])
            bar.advance(task, body["count"])
        _images(ois, state, bar, number // PATIENTS_OF_ONE_SCAN if images is None else images)
    return count


def _images(ois: JsonClient, state: StateDir, bar: Progress, most: int) -> None:
    if not most:
        return
    # Imported late: planning pulls in numba, which a seeding without images need not wait for.
    from ptcs.department_life import fill as life  # noqa: PLC0415

    task = bar.add_task(_("Images, plans and treatments"), total=most)
    made = life.fill(ois, state, most, lambda _count: bar.advance(task))
    bar.update(task, total=made, completed=made)


def _address(state: StateDir) -> str:
    try:
        port = read_json(state.run_file("ois"))["port"]
    except OSError as why:
        raise Refused(_("no OIS runs in {state}; `ptcs up` starts it").format(state=state.root)) from why
    return f"http://127.0.0.1:{port}/api/v1"
