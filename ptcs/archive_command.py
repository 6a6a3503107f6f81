"""`ptcs archive`: values, states and texts over time, as a table, a plot or a file."""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from common.errors import BadInput, LinkLost, Refused
from common.files import write_atomic
from common.moments import moment
from common.text import _
from device_servers.services.archive.answer import to_dict
from device_servers.services.archive.export import export as export_h5
from device_servers.services.archive.protocols import ArchiveReader, Word
from device_servers.services.archive.tables import export_table
from ptcs import archive_plot
from ptcs.archive_show import as_csv, show, show_plot, show_standing
from ptcs.archive_source import Source, must_know
from ptcs.options import json_option
from ptcs.running import state_option

TABLE_POINTS, FILE_POINTS = 40, 2000

site_option = click.option(
    "--site",
    "site_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="Site file of a facility that is down (default: the one that ran last).",
)
start_option = click.option(
    "--start", "start_text", default="-1h", show_default=True, help="ISO 8601, or -2h, -3d."
)
end_option = click.option("--end", "end_text", default="now", show_default=True, help="As --start.")
file_type = click.Path(path_type=Path, dir_okay=False)


@click.group()
def archive() -> None:
    """Values, states and texts over time. See docs/how-to/archive.md."""


@archive.command(name="list")
@click.argument("pattern", default="*")
@state_option
@site_option
@json_option
def list_names(pattern: str, state: Path, site_file: Path | None, as_json: bool) -> None:
    """Attributes that are archived; PATTERN with * and ?, as in '*/ring-*/current'."""
    found = Source(state, site_file).reader().names(pattern)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for name in found:
            click.echo(name)
    if not found:
        click.echo(_("nothing that is archived matches {pattern}").format(pattern=pattern), err=True)
        sys.exit(1)


@archive.command()
@click.argument("attribute")
@state_option
@site_option
@start_option
@end_option
@click.option("--points", type=int, default=None, help="At most so many rows (default: what fits).")
@json_option
@click.option("--plot", is_flag=True, help="Draw it in the terminal.")
@click.option("--csv", "csv_file", type=file_type, default=None, help="Write the rows to a file.")
@click.option("--png", "png_file", type=file_type, default=None, help="Write a picture to a file.")
def query(
    attribute: str,
    state: Path,
    site_file: Path | None,
    start_text: str,
    end_text: str,
    points: int | None,
    as_json: bool,
    plot: bool,
    csv_file: Path | None,
    png_file: Path | None,
) -> None:
    """One ATTRIBUTE (device/attribute) over a range, in as many points as can be shown."""
    start, end = _range(start_text, end_text)
    source = Source(state, site_file)
    usual = FILE_POINTS if as_json or plot or csv_file or png_file else TABLE_POINTS
    overview = source.query(attribute, start, end, usual if points is None else points)
    words: list[Word] = []
    if not len(overview.times) and overview.before is None:
        reader = source.reader()
        words = reader.texts(attribute, start, end)
        if not words:
            must_know(reader, attribute)
    if csv_file is not None:
        _write(csv_file, as_csv(overview, words).encode())
    if png_file is not None:
        _write(png_file, archive_plot.picture(overview, attribute, start, end))
    if as_json:
        told = to_dict(overview, attribute, start, end) | {"texts": [vars(word) for word in words]}
        click.echo(json.dumps(told, allow_nan=False, ensure_ascii=False))
    elif plot:
        show_plot(overview, words, attribute, (start, end))
    elif csv_file is None and png_file is None:
        show(overview, words, attribute)


@archive.command()
@click.argument("attributes", nargs=-1)
@state_option
@site_option
@start_option
@end_option
@click.option("--csv", "csv_file", type=file_type, default=None, help="Every sample, as CSV.")
@click.option("--parquet", "parquet_file", type=file_type, default=None, help="Every sample, as Parquet.")
@click.option("--h5", "h5_file", type=file_type, default=None, help="Everything of the range, as HDF5.")
def export(
    attributes: tuple[str, ...],
    state: Path,
    site_file: Path | None,
    start_text: str,
    end_text: str,
    csv_file: Path | None,
    parquet_file: Path | None,
    h5_file: Path | None,
) -> None:
    """Every sample of ATTRIBUTES (names, or patterns in quotes) over a range into one file."""
    start, end = _range(start_text, end_text)
    source = Source(state, site_file)
    chosen = [path for path in (csv_file, parquet_file, h5_file) if path is not None]
    if len(chosen) != 1:
        raise BadInput(_("choose one of --csv FILE, --parquet FILE and --h5 FILE"))
    path = chosen[0].resolve()
    if path.is_relative_to(source.state.archive):
        raise Refused(_("an export does not go into the archive itself; choose another folder"))
    try:
        if h5_file is not None:
            rows = _export_h5(source, attributes, (start, end), path)
        else:
            ending = ".csv" if csv_file is not None else ".parquet"
            if path.suffix.lower() != ending:
                raise BadInput(_("{path}: its name must end in {ending}").format(path=path, ending=ending))
            reader = source.reader()
            rows = export_table(reader, _names(reader, attributes), start, end, path)
    except OSError as why:
        raise Refused(_("export to {path} failed: {why}").format(path=path, why=why)) from why
    click.echo(_("{rows} rows in {path}").format(rows=rows, path=path))


@archive.command()
@state_option
@site_option
@json_option
def status(state: Path, site_file: Path | None, as_json: bool) -> None:
    """What the archiver does, and what it has; exit status 1 when it does not write."""
    source = Source(state, site_file)
    try:
        told = source.standing()
    except LinkLost as why:
        told = {"state": "DOWN", "status": str(why)}
    names = source.reader().names() if told["state"] != "DOWN" or _has(source) else []
    told |= {"attributes": len(names), "store": source.kind}
    told |= _disk(source)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        show_standing(told)
    sys.exit(0 if told["state"] in ("RUNNING", "ALARM") else 1)


def _has(source: Source) -> bool:
    return source.place != "hdf5" or source.state.archive.is_dir()


def _disk(source: Source) -> dict[str, Any]:
    """Size of the files, and what is free beside them; empty for a database."""
    folder = source.state.archive
    if source.place != "hdf5" or not folder.is_dir():
        return {}
    # the open segment is sparse: blocks count, not length
    sizes = [path.stat().st_blocks * 512 for path in folder.glob("*.h5")]
    return {
        "files": len(sizes),
        "megabytes": sum(sizes) / 1e6,
        "free_gb": shutil.disk_usage(folder).free / 1e9,
    }


def _range(start_text: str, end_text: str) -> tuple[float, float]:
    """Both ends in seconds. Raises BadInput."""
    now = time.time()
    start, end = moment(start_text, now), moment(end_text, now)
    if start > end:
        raise BadInput(_("the range ends before it starts"))
    if start > now:
        raise BadInput(_("the range lies in the future; the archive knows what was"))
    return start, end


def _names(reader: ArchiveReader, wanted: Sequence[str]) -> list[str]:
    """Names and patterns as names, each once. Raises BadInput for none, and for a pattern without a match."""
    if not wanted:
        raise BadInput(_("say which attributes; `ptcs archive list` shows what is archived"))
    found: dict[str, None] = {}
    for one in wanted:
        names = reader.names(one) if set(one) & set("*?[") else [one]
        if not names:
            raise BadInput(_("nothing that is archived matches {pattern}").format(pattern=one))
        found.update(dict.fromkeys(names))
    return list(found)


def _export_h5(source: Source, attributes: Sequence[str], span: tuple[float, float], path: Path) -> int:
    if attributes:
        raise BadInput(_("--h5 takes everything of the range; name no attributes"))
    if path.suffix != ".h5":
        raise BadInput(_("{path}: its name must end in {ending}").format(path=path, ending=".h5"))
    found = export_h5(source.reader(), *span, path)
    return sum(len(series.times) for series in found.series.values()) + len(found.spots) + len(found.texts)


def _write(path: Path, content: bytes) -> None:
    """A whole file or none. Raises Refused."""
    if not path.parent.is_dir():
        raise BadInput(_("{folder} is no folder; make it first").format(folder=path.parent))
    try:
        write_atomic(path, content)
    except OSError as why:
        raise Refused(_("export to {path} failed: {why}").format(path=path, why=why)) from why
    click.echo(str(path), err=True)
