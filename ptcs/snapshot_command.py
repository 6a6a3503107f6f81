"""`ptcs snapshot`: settings of the machine kept, compared, restored, rolled back."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from common.errors import Refused
from common.text import _, language
from ptcs.options import json_option, password_option, user_option
from ptcs.running import state_option
from ptcs.service_calls import reading, writing
from ptcs.snapshot_tables import console, more, said, show_plan, show_record, table_of, when

KIND = "SettingsServer"
SHOWN = 40
limit_option = click.option("--limit", default=SHOWN, show_default=True, help="Rows that are shown; 0: all.")
only_option = click.option("--only", multiple=True, help="Pattern of device/attribute; several are possible.")
comment_option = click.option("--comment", default="", help="Why; kept with it.")
partial_option = click.option("--partial", is_flag=True, help="Also when some rows cannot be written.")
force_option = click.option("--force", is_flag=True, help="Also over what somebody else has changed since.")


@click.group()
def snapshot() -> None:
    """Settings of the machine: take, compare, restore, roll back."""


@snapshot.command()
@state_option
@json_option
def configurations(state: Path, as_json: bool) -> None:
    """What snapshots of this site may hold."""
    found = reading(state, KIND).read("Configurations")
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = table_of("", _("configuration"), _("title"), _("version"), _("attributes"), _("restored"))
    for name, row in found.items():
        title = row["title"][language()]
        table.add_row("", name, title, str(row["version"]), str(row["count"]), str(row["writable"]))
    console.print(table)


@snapshot.command()
@click.argument("configuration")
@comment_option
@click.option("--tag", "tags", multiple=True, help="Word to find it by; several are possible.")
@state_option
@user_option
@password_option
def take(
    state: Path, configuration: str, comment: str, tags: tuple[str, ...], user: str, password: str
) -> None:
    """Read CONFIGURATION and keep it."""
    with writing(state, KIND, user, password) as service:
        wish = {"configuration": configuration, "comment": comment, "tags": list(tags)}
        line = service.job("Take", wish)
    span = line["ended"] - line["started"]
    text = _(
        "snapshot {id}: {count} attributes in {span:.2f} s, {invalid} not known, {unreadable} unreadable"
    )
    console.print(
        text.format(span=span, **{key: line[key] for key in ("id", "count", "invalid", "unreadable")})
    )


@snapshot.command(name="list")
@click.option("--text", default="", help="Words of the comment, user, tags or id.")
@click.option("--tag", default="")
@click.option("--configuration", default="")
@click.option("--golden", is_flag=True, help="Only golden ones.")
@limit_option
@state_option
@json_option
def list_(
    state: Path, text: str, tag: str, configuration: str, golden: bool, limit: int, as_json: bool
) -> None:
    """Snapshots, newest first."""
    wish = {"text": text, "tag": tag, "configuration": configuration, "golden": golden, "limit": limit}
    rows = reading(state, KIND).ask("Find", wish)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    titles = (
        _("snapshot"),
        _("date and time"),
        _("user"),
        _("configuration"),
        _("attributes"),
        _("tags"),
        _("comment"),
    )
    table = table_of("", *titles)
    for row in rows:
        mark = "[yellow]★[/]" if row["golden"] else ""
        words = (row["configuration"], str(row["count"]), " ".join(row["tags"]), row["comment"])
        table.add_row(mark, row["id"], when(row["started"]), row["user"], *map(escape, words))
    console.print(table)


@snapshot.command()
@click.argument("name")
@only_option
@limit_option
@state_option
@json_option
def show(state: Path, name: str, only: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Values of snapshot NAME (an id, the beginning of one, or golden:CONFIGURATION)."""
    body = reading(state, KIND).ask("Show", name)
    if as_json:
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    columns = body["columns"]
    rows = list(zip(*(columns[key] for key in ("name", "value", "quality", "time", "why")), strict=True))
    rows = [row for row in rows if not only or any(fnmatchcase(row[0], pattern) for pattern in only)]
    table = table_of(body["id"], _("attribute"), _("value"), _("quality"), _("date and time"))
    for row in rows[: limit or None]:
        table.add_row("", row[0], escape(said(row[1], row[4])), row[2], when(row[3]))
    console.print(table)
    more(len(rows), limit)


@snapshot.command()
@click.argument("left")
@click.argument("right", required=False, default="")
@limit_option
@state_option
@json_option
def compare(state: Path, left: str, right: str, limit: int, as_json: bool) -> None:
    """What differs between LEFT and RIGHT (without: the machine as it is), farthest first."""
    found = reading(state, KIND).job("Compare", {"left": left, "right": right})
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    rows = found["differences"]
    table = table_of("", _("attribute"), found["left"], found["right"], _("tolerances apart"))
    for row in rows[: limit or None]:
        sides = [said(row[side], row.get(f"{side}_why", "")) for side in ("left", "right")]
        far = _(row["kind"]) if row["apart"] is None else f"{row['apart']:.1f}"
        table.add_row("", row["name"], *map(escape, sides), far)
    if rows:
        console.print(table)
    more(len(rows), limit)
    text = _("{count} attributes: {differ} differ, {same} the same, {unknown} known to neither")
    numbers = {"count": found["count"], "differ": len(rows), "same": found["same"]}
    console.print(text.format(unknown=len(found["unknown"]), **numbers))


@snapshot.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@only_option
@comment_option
@partial_option
@force_option
@click.option("--no-rollback", is_flag=True, help="Leave what was written when something fails.")
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@limit_option
@state_option
@user_option
@password_option
def restore(state: Path, name: str, user: str, password: str, **terms: Any) -> None:
    """Write the settings of snapshot NAME back, group by group, each read back."""
    with writing(state, KIND, user, password) as service:
        plan = service.job("DryRun", {"snapshot": name, "only": list(terms["only"])})
        writes = show_plan(plan, terms["limit"])
        if terms["dry_run"] or not writes:
            return
        if not terms["yes"] and not click.confirm(_("write {count} attributes?").format(count=writes)):
            raise Refused(_("nothing was written"))
        wish = {key: terms[key] for key in ("comment", "partial", "force")}
        record = service.job("Restore", {"plan": plan["plan"], "rollback": not terms["no_rollback"], **wish})
    show_record(record)


@snapshot.command()
@click.argument("restore_id")
@comment_option
@partial_option
@force_option
@state_option
@user_option
@password_option
def rollback(state: Path, restore_id: str, user: str, password: str, **terms: Any) -> None:
    """Take back what restore RESTORE_ID has written."""
    with writing(state, KIND, user, password) as service:
        show_record(service.job("Rollback", {"restore": restore_id, **terms}))


@snapshot.command()
@limit_option
@state_option
@json_option
def restores(state: Path, limit: int, as_json: bool) -> None:
    """Restores and rollbacks, newest first."""
    rows = reading(state, KIND).ask("Restores")
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    titles = (
        _("restore"),
        _("date and time"),
        _("user"),
        _("snapshot"),
        _("state"),
        _("attributes"),
        _("comment"),
    )
    table = table_of("", *titles)
    for row in rows[: limit or None]:
        mark = "↶" if row.get("rollback_of") else ""
        head = (row["id"], when(row["started"]), row["user"], row["snapshot"], _(row["state"]))
        table.add_row(mark, *head, str(row["writes"]), escape(row["comment"]))
    console.print(table)


@snapshot.command()
@click.argument("name")
@click.argument("tags", nargs=-1)
@state_option
@user_option
@password_option
def tag(state: Path, name: str, tags: tuple[str, ...], user: str, password: str) -> None:
    """Replace the tags of snapshot NAME."""
    with writing(state, KIND, user, password) as service:
        service.ask("Tag", {"id": name, "tags": list(tags)})


@snapshot.command()
@click.argument("name")
@click.option("--off", is_flag=True, help="It is golden no longer.")
@state_option
@user_option
@password_option
def golden(state: Path, name: str, off: bool, user: str, password: str) -> None:
    """Make NAME the golden snapshot of its configuration."""
    with writing(state, KIND, user, password) as service:
        service.ask("Golden", {"id": name, "golden": not off})


@snapshot.command()
@state_option
@user_option
@password_option
def stop(state: Path, user: str, password: str) -> None:
    """Stop the restore under way; what was written stays."""
    with writing(state, KIND, user, password) as service:
        service.ask("Stop")
