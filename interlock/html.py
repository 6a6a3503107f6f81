"""The matrix as one HTML page in English and Chinese, made from the table that the interlock runs."""

from collections.abc import Iterable, Mapping
from html import escape

from common.clock import seconds
from interlock.search import TABLE
from interlock.table import Family, Input, Kind, Latch, Matrix, Text

_STYLE = """
body { font: 15px/1.45 system-ui, "Noto Sans CJK SC", sans-serif; margin: 2rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { border: 1px solid #c3c9d1; padding: .3rem .6rem; text-align: left; vertical-align: top; }
thead th { background: #eef1f5; position: sticky; top: 0; }
td.cell { text-align: center; font-weight: 700; }
tr.family th { background: #dfe7f1; }
small { display: block; color: #57606a; }
code { display: block; font-size: 13px; }
span[lang=zh] { display: block; color: #3d4650; font-weight: 400; }
li code, p code { display: inline; }
"""

_LEGEND = Text("takes the permit when bad, missing or latched", "异常、缺失或锁存时撤销许可")

_WORDS = {
    Family.PATIENT: Text("Patient: delivery as planned", "患者:按计划照射"),
    Family.PERSONNEL: Text("Personnel: nobody where beam is", "人身:辐射区无人"),
    Family.EQUIPMENT: Text("Equipment: the machine can make and carry beam", "设备:可产生并输运束流"),
    Latch.ALWAYS: Text("always", "总是锁存"),
    Latch.ARMED: Text("while beam is requested", "束流申请期间锁存"),
    Latch.NEVER: Text("no", "不锁存"),
    Kind.REQUEST: Text("request", "申请"),
    Kind.KEY: Text("key", "钥匙"),
}


def page(matrix: Matrix) -> str:
    """A complete HTML document: inputs against outputs, rights, and the room search."""
    title = escape(f"{matrix.title.en} · {matrix.title.zh}")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
            f"<p>● {_two(_LEGEND)}</p>",
            _effects(matrix),
            _rights(matrix),
            _searches(matrix),
            "</body></html>",
        ]
    )


def _effects(matrix: Matrix) -> str:
    heads = [Text("Input", "输入"), Text("Latch", "锁存"), Text("Maskable", "可屏蔽")]
    columns = [_two(head) for head in heads] + [
        f"<code>{escape(output.name)}</code>{_two(output.text)}<small>≤ {_duration(output.off_us)}</small>"
        for output in matrix.outputs
    ]
    lines = [_head(columns)]
    for family in Family:
        rows = [row for row in matrix.inputs if row.family is family]
        if rows:
            lines.append(f'<tr class="family"><th colspan="{len(columns)}">{_two(_WORDS[family])}</th></tr>')
            lines += [_effect(matrix, row) for row in rows]
    return _table(lines)


def _effect(matrix: Matrix, row: Input) -> str:
    kind = "" if row.kind is Kind.FAULT else f"<small>{_two(_WORDS[row.kind])}</small>"
    maskable = _two(Text("yes", "是") if row.maskable else Text("never", "禁止"))
    cells = "".join(
        f'<td class="cell">{"●" if output.name in row.cuts else ""}</td>' for output in matrix.outputs
    )
    return (
        f'<tr id="{escape(row.name)}"><td><code>{escape(row.name)}</code> {_two(row.text)}{kind}</td>'
        f"<td>{_two(_WORDS[row.latch])}</td><td>{maskable}</td>{cells}</tr>"
    )


def _rights(matrix: Matrix) -> str:
    heads = [Text("Family", "类别"), Text("May reset", "可复位"), Text("May mask", "可屏蔽")]
    lines = [_head([_two(head) for head in heads])]
    for family in Family:
        lines.append(
            f"<tr><th>{_two(_WORDS[family])}</th><td>{_roles(matrix.reset_roles, family)}</td>"
            f"<td>{_roles(matrix.mask_roles, family)}</td></tr>"
        )
    limit = f"≤ {seconds(matrix.mask_limit_ticks) / 3600:g} h"
    note = Text(f"A mask lasts {limit}, in service mode only", f"屏蔽时限 {limit},仅限维护模式")
    return _table(lines) + f"<p>{_two(note)}</p>"


def _roles(table: Mapping[Family, frozenset[str]], family: Family) -> str:
    return escape(", ".join(sorted(table.get(family, frozenset())))) or "—"


def _searches(matrix: Matrix) -> str:
    lines = [
        _head([_two(Text("State", "状态")), _two(Text("Event", "事件")), _two(Text("Next", "下一状态"))])
    ]
    for state, row in TABLE.items():
        lines += [
            f"<tr><td>{state}</td><td>{event}</td><td>{after}</td></tr>" for event, after in row.items()
        ]
    plans = "".join(
        f"<li><code>{escape(plan.input)}</code>: {escape(' → '.join(plan.buttons))} "
        f"(≤ {seconds(plan.walk_ticks):g} s), {_two(Text('door', '关门'))} "
        f"(≤ {seconds(plan.close_ticks):g} s)</li>"
        for plan in matrix.searches
    )
    return f"<h2>{_two(Text('Room search', '清场巡检'))}</h2>{_table(lines)}<ul>{plans}</ul>"


def _duration(us: float) -> str:
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= size:
            return f"{us / size:g} {unit}"
    return f"{us:g} µs"


def _two(text: Text) -> str:
    return f'{escape(text.en)} <span lang="zh">{escape(text.zh)}</span>'


def _head(columns: Iterable[str]) -> str:
    return "<thead><tr>" + "".join(f"<th>{column}</th>" for column in columns) + "</tr></thead>"


def _table(lines: Iterable[str]) -> str:
    return "<table>" + "\n".join(lines) + "</table>"
