"""`ptcs doctor`: what is missing on this machine, and how to mend it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from common.text import _

REPOSITORY = Path(__file__).resolve().parent.parent
FREE_GIB, MEMORY_GIB, CORES = 2.0, 4.0, 2
MODULES = {
    "tango": "",
    "databaseds": "",
    "numba": "",
    "pydicom": "",
    "pynetdicom": "",
    "weasyprint": "",
    "taurus": "gui",
    "nbclient": "notebook",
    "z3": "proofs",
    "pytest": "dev",
}


class Finding(NamedTuple):
    """One check: what, whether it is well, what was seen, what helps."""

    what: str
    well: bool
    seen: str
    mend: str


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        "Python >= 3.11", sys.version_info >= (3, 11), version, "apt install python3 (Debian 12 has 3.11)"
    )


def _modules() -> list[Finding]:
    return [
        Finding(
            f"{_('module')} {name}",
            importlib.util.find_spec(name) is not None,
            extra or _("core"),
            "./run setup dev" if extra in ("dev", "proofs") else "./run setup",
        )
        for name, extra in MODULES.items()
    ]


def _debian_packages() -> list[Finding]:
    rows = (REPOSITORY / "packages.apt").read_text(encoding="utf-8").splitlines()
    wanted = [row.split() for row in rows if row and not row.startswith("#")]
    if shutil.which("dpkg-query") is None:
        return [
            Finding(_("Debian packages"), False, "no dpkg-query", f"{_('install by hand')}: packages.apt")
        ]
    missing = [name for _level, name in wanted if not _installed(name)]
    return [
        Finding(
            _("Debian packages"), not missing, ", ".join(missing) or "-", f"apt install {' '.join(missing)}"
        )
    ]


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${Status}", package]
    return "ok installed" in subprocess.run(query, capture_output=True, text=True, check=False).stdout


def _room() -> list[Finding]:
    free = shutil.disk_usage(REPOSITORY).free / 2**30
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return [
        Finding(_("free disk"), free >= FREE_GIB, f"{free:.1f} GiB", f">= {FREE_GIB:g} GiB"),
        Finding(_("memory"), memory >= MEMORY_GIB, f"{memory:.1f} GiB", f">= {MEMORY_GIB:g} GiB"),
        Finding(_("processor cores"), cores >= CORES, str(cores), f">= {CORES}"),
    ]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (lambda: [_python()], _modules, _debian_packages, _room)


@click.command()
def doctor() -> None:
    """Say what is missing here and how to mend it; exit status 1 if anything is."""
    findings = [finding for check in CHECKS for finding in check()]
    table = Table()
    for column in (_("check"), "", _("seen"), _("what helps")):
        table.add_column(column)
    for finding in findings:
        mark = f"[green]✔ {_('ok')}[/]" if finding.well else f"[red]✘ {_('missing')}[/]"
        table.add_row(finding.what, mark, finding.seen, "" if finding.well else finding.mend)
    Console().print(table)
    sys.exit(0 if all(finding.well for finding in findings) else 1)
