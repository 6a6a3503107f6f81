"""`ptcs validate tps`: the planning library against tables, Monte Carlo, another code and clinical plans."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from common.errors import BadInput, PtcsError
from common.files import write_atomic
from common.links import pdf
from common.text import _
from ptcs import __version__

if TYPE_CHECKING:
    from tps_engine.validate.case import Case, Result, Setup

_FOLDER = click.Path(path_type=Path)
_MARKS = {"PASSED": "[green]✔[/]", "FAILED": "[red]✘[/]", "NOT_RUN": "[dim]○[/]"}
_REPOSITORY = Path(__file__).resolve().parent.parent
_CODE = ("tps_engine", "config")
console = Console(highlight=False, soft_wrap=True)
log = logging.getLogger(__name__)


@click.group("validate")
def validate() -> None:
    """Validation of what PTCS calculates."""


@validate.command("tps")
@click.option("--out", type=_FOLDER, required=True, help="Folder for validation.pdf and validation.json.")
@click.option("--only", multiple=True, metavar="CASE", help="Only this case (range-pb), or its kind (range).")
@click.option("--data", type=_FOLDER, default=None, help="Shared data (default: ../shared/data).")
@click.option("--machine", default="proton-generic", show_default=True, help="Beam model of the phantoms.")
@click.option("--quick", is_flag=True, help="The short form: fewer energies, no clinical plans.")
@click.option("--mcsquare", type=_FOLDER, default=None, help="MCsquare program (default: in .venv-peers).")
@click.option("--resume", is_flag=True, help="Keep results of the same code and options from DIR/cases.")
@click.option("--list", "list_only", is_flag=True, help="Only list the cases.")
def tps(
    out: Path,
    only: tuple[str, ...],
    data: Path | None,
    machine: str,
    quick: bool,
    mcsquare: Path | None,
    resume: bool,
    list_only: bool,
) -> None:
    """Run the validation cases; exit status 1 when one fails. Results are written case by case."""
    # Imported late: the engine brings a compiler, and other commands need none.
    from ptcs import validate_mcsquare  # noqa: PLC0415
    from tps_engine.beamdata import model  # noqa: PLC0415
    from tps_engine.validate import suite  # noqa: PLC0415
    from tps_engine.validate.case import Setup, verdict  # noqa: PLC0415

    chosen = suite.chosen(only)
    if list_only:
        for case in chosen:
            click.echo(f"{case.name:24} {case.group}: {case.title} ({case.engine}; {case.against})")
        return
    place = _data(data)
    other = validate_mcsquare.find(mcsquare)
    setup = Setup(model.load(machine), place, quick, other=other)
    out.mkdir(parents=True, exist_ok=True)
    facts = _facts(setup, datetime.now(UTC))
    done = _Run(out, facts, _key(setup, facts))
    try:
        done.carry_out(chosen, setup, resume)
    finally:
        done.print()
    state = verdict(done.results)
    console.print(f"{_MARKS[state]} {out / 'validation.pdf'}")
    sys.exit(0 if state == "PASSED" else 1)


def _data(given: Path | None) -> Path | None:
    """The shared data. Raises BadInput for a folder that was named and is absent."""
    if given is not None and not given.is_dir():
        raise BadInput(_("no folder {path}").format(path=given))
    place = given or _REPOSITORY.parent / "shared" / "data"
    return place if place.is_dir() else None


class _Run:
    """A run whose results are on disk as soon as they are known."""

    def __init__(self, out: Path, facts: dict[str, str], key: str) -> None:
        self._out, self._facts, self._key = out, facts, key
        self.results: list[Result] = []
        self._seconds: list[float] = []

    def carry_out(self, cases: list[Case], setup: Setup, resume: bool) -> None:
        """Every case, told and written as it ends; with `resume` those that lie on disk are taken."""
        from tps_engine.validate import saved  # noqa: PLC0415

        folder = self._out / "cases"
        for case in cases:
            kept = saved.read(folder, case, self._key) if resume else None
            result, seconds = kept or _one(case, setup)
            self.results.append(result)
            self._seconds.append(seconds)
            _tell(result, seconds)
            try:
                if kept is None:
                    saved.write(folder, result, seconds, self._key)
                write_atomic(self._out / "validation.json", self._json())
            except OSError as why:
                raise _unwritten(self._out, why) from why

    def print(self) -> None:
        """The page of all results so far; none: no page."""
        from tps_engine.validate import report  # noqa: PLC0415

        if not self.results:
            return
        page = report.html(self.results, self._facts, hashlib.sha256(self._json()).hexdigest())
        try:
            pdf.render(page, self._out / "validation.pdf")
        except OSError as why:
            raise _unwritten(self._out, why) from why

    def _json(self) -> bytes:
        from tps_engine.validate import report  # noqa: PLC0415

        content = report.to_json(self.results, self._facts)
        for case, spent in zip(content["cases"], self._seconds, strict=True):
            case["processor_seconds"] = round(spent, 1)
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _unwritten(out: Path, why: OSError) -> PtcsError:
    return PtcsError(_("cannot write {path}: {why}").format(path=out, why=why.strerror))


def _one(case: Case, setup: Setup) -> tuple[Result, float]:
    """A case's result and processor seconds."""
    from tps_engine.validate.case import FAILED, Outcome, Result, carry_out  # noqa: PLC0415

    begun = time.process_time()
    with Console(stderr=True).status(f"{case.name}: {case.title}"):
        try:
            result = carry_out(case, setup)
        except Exception as why:  # the border of the run: other cases still have their turn
            log.exception("case %s", case.name)
            result = Result(case, FAILED, f"{type(why).__name__}: {why}"[:400], Outcome(()))
    return result, time.process_time() - begun


def _key(setup: Setup, facts: dict[str, str]) -> str:
    """One number for all that a result depends on: facts without the date, noise and data."""
    parts = [f"{name}={value}" for name, value in facts.items() if name != _("date")]
    parts += [f"noise={setup.noise}", f"data={setup.data}"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _tell(result: Result, seconds: float) -> None:
    from tps_engine.validate.report import limits, number  # noqa: PLC0415

    why = f" [dim]{escape(result.why)}[/]" if result.why else ""
    console.print(f"{_MARKS[result.status]} {result.case.name} [dim]{seconds:.0f} s[/]{why}")
    for check in result.outcome.checks:
        mark = "[dim]" if check.ok else "[red]"
        line = f"{check.what}: {number(check.value)} {check.unit} ({limits(check)})"
        console.print(f"    {mark}{escape(line)}[/]")


def _facts(setup: Setup, begun: datetime) -> dict[str, str]:
    """What a reader must know to repeat the run."""
    from tps_engine.biology import parameters  # noqa: PLC0415
    from tps_engine.validate.phantoms import table  # noqa: PLC0415

    model, biology, media = setup.model, parameters.load(), table()
    return {
        _("date"): begun.strftime("%Y-%m-%d %H:%M UTC"),
        _("software"): f"PTCS {__version__}",
        _("code, SHA-256 of {folders}").format(folders=", ".join(_CODE)): _code_digest(),
        _("engines"): _("pb: pencil beam; mc: Monte Carlo; dose to water"),
        _("beam model"): f"{model.name} {model.version}",
        _("parameter sets"): f"{media.name} {media.version}; {biology.name} {biology.version}",
        _("other Monte Carlo"): "-" if setup.other is None else setup.other.name,
        _("extent"): _("short run") if setup.quick else _("full run"),
        _("host"): f"{platform.node()}, {platform.machine()}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}",
    }


def _code_digest() -> str:
    """One number for all code and data that a result depends on, whatever is committed."""
    total = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((_REPOSITORY / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".json") and path.is_file():
                total.update(str(path.relative_to(_REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:32]
