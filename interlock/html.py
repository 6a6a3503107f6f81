"""The matrix as one HTML page in English and Chinese, made from the table that the interlock runs."""

from collections.abc import Iterable, Mapping
from html import escape

from common.clock import seconds
from interlock.search import TABLE
from interlock.table import Family, Input, Matrix, Output, Text
from interlock.words import STYLE, WORDS, two

_MORE = """
.wide { overflow: auto; max-height: 88vh; border: 1px solid #c3c9d1; }
.wide table { margin: 0; font-size: 13px; line-height: 1.3; }
.wide th, .wide td { padding: .15rem .4rem; }
.wide thead th small, .wide thead th code { font-weight: 400; }
.wide td:first-child { position: sticky; left: 0; background: #fff; z-index: 1; min-width: 19rem; }
.wide thead th:first-child { left: 0; z-index: 3; }
td.cell { text-align: center; font-weight: 700; }
td.spared { color: #57606a; }
tr.family th { background: #dfe7f1; }
tr:hover td { background: #f3f7fc; }
.tools { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin: 1rem 0 .5rem; }
.tools input, .tools select { font: inherit; padding: .35rem .6rem; }
.tools input { min-width: 22rem; }
"""

_SCRIPT = """
const box = document.getElementById("filter"), family = document.getElementById("family");
const shown = document.getElementById("shown"), rows = [...document.querySelectorAll("#effects tr[id]")];
const texts = rows.map(row => row.textContent.toLowerCase());
function filter() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0;
  rows.forEach((row, i) => {
    const fits = words.every(word => texts[i].includes(word));
    row.hidden = !(fits && (!family.value || row.dataset.family === family.value));
    count += !row.hidden;
  });
  document.querySelectorAll("#effects tr.family").forEach(head => {
    head.hidden = !rows.some(row => !row.hidden && row.dataset.family === head.dataset.family);
  });
  shown.textContent = count + " / " + rows.length;
}
box.addEventListener("input", filter); family.addEventListener("change", filter); filter();
"""

_LEGEND = Text("takes the permit when bad, missing or latched", "异常、缺失或锁存时撤销许可")
_LAST = Text(
    "A stage that is not confirmed takes the next one; the last takes every output",
    "未确认则进入下一级;末级撤销全部输出",
)
_STAGE_HEADS = (
    Text("Stage", "级"),
    Text("Takes", "撤销"),
    Text("Confirmed by", "确认信号"),
    Text("Within", "时限"),
)
_SPARED = Text("... unless its room is isolated", "……除非其治疗室已隔离")


def page(matrix: Matrix) -> str:
    """A complete HTML document: inputs against outputs, rights, and the room search."""
    title = escape(f"{matrix.title.en} · {matrix.title.zh}")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            f"<style>{STYLE}{_MORE}</style></head><body><h1>{title}</h1>",
            f"<p>● {two(_LEGEND)}</p>",
            f"<p>○ {two(_SPARED)}</p>" if matrix.isolation_keys else "",
            _tools(matrix),
            _effects(matrix),
            _rights(matrix),
            _stages(matrix),
            _searches(matrix),
            f"<script>{_SCRIPT}</script>",
            "</body></html>",
        ]
    )


def _tools(matrix: Matrix) -> str:
    choices = "".join(
        f'<option value="{family}">{escape(WORDS[family].en)} · {escape(WORDS[family].zh)}</option>'
        for family in Family
    )
    return (
        '<div class="tools"><input id="filter" type="search" placeholder="Filter · 筛选" '
        'aria-label="Filter · 筛选"><select id="family" aria-label="Family · 类别">'
        f'<option value="">All families · 全部类别</option>{choices}</select>'
        f'<output id="shown">{len(matrix.inputs)} / {len(matrix.inputs)}</output></div>'
    )


def _effects(matrix: Matrix) -> str:
    heads = [Text("Input", "输入"), Text("Latch", "锁存"), Text("Maskable", "可屏蔽")]
    columns = [two(head) for head in heads] + [
        f"<code>{escape(output.name)}</code>{two(output.text)}<small>≤ {_duration(output.off_us)}"
        f"{f' · {escape(output.room)}' if output.room else ''}</small>"
        for output in matrix.outputs
    ]
    lines = [_head(columns)]
    for family in Family:
        rows = [row for row in matrix.inputs if row.family is family]
        if rows:
            lines.append(
                f'<tr class="family" data-family="{family}"><th colspan="{len(columns)}">'
                f"{two(WORDS[family])}</th></tr>"
            )
            lines += [_effect(matrix, row) for row in rows]
    return f'<div class="wide" id="effects">{_table(lines)}</div>'


def _effect(matrix: Matrix, row: Input) -> str:
    maskable = two(Text("yes", "是") if row.maskable else Text("never", "禁止"))
    return (
        f'<tr id="{escape(row.name)}" data-family="{row.family}"><td><code>{escape(row.name)}</code> '
        f"{two(row.text)}{_source(row)}</td>"
        f"<td>{two(WORDS[row.latch])}</td><td>{maskable}</td>"
        f"{''.join(_cell(row, output) for output in matrix.outputs)}</tr>"
    )


def _source(row: Input) -> str:
    """What a row is besides its text: kind, room, channels."""
    word = WORDS.get(row.kind)
    notes = [escape(f"{word.en} {word.zh}")] if word else []
    if row.room:
        notes.append(escape(row.room))
    if row.paired:
        limit = _duration(seconds(row.discrepancy_ticks) * 1e6)
        notes.append(f"{escape(' = '.join(row.signals))} (≤ {limit})")
    elif row.signal:
        notes.append(escape(row.signal))
    return f"<small>{' · '.join(notes)}</small>" if notes else ""


def _cell(row: Input, output: Output) -> str:
    if output.name not in row.cuts:
        return '<td class="cell"></td>'
    spared = bool(row.room) and output.room != row.room
    return '<td class="cell spared">○</td>' if spared else '<td class="cell">●</td>'


def _stages(matrix: Matrix) -> str:
    if not matrix.beam_off:
        return ""
    heads = [
        Text("Stage", "级"),
        Text("Takes", "撤销"),
        Text("Confirmed by", "确认信号"),
        Text("Within", "时限"),
    ]
    lines = [_head([two(head) for head in heads])]
    lines += [
        f"<tr><td>{place}</td><td>{escape(', '.join(sorted(stage.outputs)))}</td>"
        f"<td><code>{escape(stage.confirm)}</code></td>"
        f"<td>≤ {_duration(seconds(stage.within_ticks) * 1e6)}</td></tr>"
        for place, stage in enumerate(matrix.beam_off, 1)
    ]
    return f"<h2>{two(Text('Switching beam off', '断束'))}</h2>{_table(lines)}<p>{two(_LAST)}</p>"


def _rights(matrix: Matrix) -> str:
    heads = [Text("Family", "类别"), Text("May reset", "可复位"), Text("May mask", "可屏蔽")]
    lines = [_head([two(head) for head in heads])]
    for family in Family:
        lines.append(
            f"<tr><th>{two(WORDS[family])}</th><td>{_roles(matrix.reset_roles, family)}</td>"
            f"<td>{_roles(matrix.mask_roles, family)}</td></tr>"
        )
    limit = f"≤ {seconds(matrix.mask_limit_ticks) / 3600:g} h"
    note = Text(f"A mask lasts {limit}, in service mode only", f"屏蔽时限 {limit},仅限维护模式")
    return _table(lines) + f"<p>{two(note)}</p>"


def _roles(table: Mapping[Family, frozenset[str]], family: Family) -> str:
    return escape(", ".join(sorted(table.get(family, frozenset())))) or "—"


def _searches(matrix: Matrix) -> str:
    lines = [_head([two(Text("State", "状态")), two(Text("Event", "事件")), two(Text("Next", "下一状态"))])]
    for state, row in TABLE.items():
        lines += [
            f"<tr><td>{state}</td><td>{event}</td><td>{after}</td></tr>" for event, after in row.items()
        ]
    plans = "".join(
        f"<li><code>{escape(plan.input)}</code>: {escape(' → '.join(plan.buttons))} "
        f"(≤ {seconds(plan.walk_ticks):g} s), door · 关门 (≤ {seconds(plan.close_ticks):g} s)</li>"
        for plan in matrix.searches
    )
    return f"<h2>{two(Text('Room search', '清场巡检'))}</h2>{_table(lines)}<ul>{plans}</ul>"


def _duration(us: float) -> str:
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= size:
            return f"{us / size:g} {unit}"
    return f"{us:g} µs"


def _head(columns: Iterable[str]) -> str:
    return "<thead><tr>" + "".join(f"<th>{column}</th>" for column in columns) + "</tr></thead>"


def _table(lines: Iterable[str]) -> str:
    return "<table>" + "\n".join(lines) + "</table>"
