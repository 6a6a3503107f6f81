"""What is wrong with a drawn process: nobody who does a step, a dead end, a way that cannot be chosen."""

from collections.abc import Collection, Iterator

from common.authority import ROLES
from common.errors import BadInput
from common.text import _
from ois_bridge.domain import expression
from ois_bridge.domain.process_steps import (
    BEGINS,
    HAPPENING,
    OUTCOME,
    START_NAMES,
    WITH_FORM,
    Deed,
    Drawing,
    Step,
)

CONDITION_NAMES = frozenset({"outcome"})


def faults(drawing: Drawing, forms: Collection[str]) -> list[str]:
    """All faults of a drawing, as texts for the person who draws; empty for a good one."""
    return [*_ends(drawing), *_start(drawing), *_ways(drawing), *_gates(drawing), *_steps(drawing, forms)]


def _ends(drawing: Drawing) -> Iterator[str]:
    starts = [node for node in drawing.nodes.values() if node.kind == "start"]
    if len(starts) != 1:
        yield _("A process has exactly one start; this one has {n}.").format(n=len(starts))
    if not any(node.kind == "end" for node in drawing.nodes.values()):
        yield _("The process has no end.")
    if not drawing.steps:
        yield _("The process has no step for a person.")


def _start(drawing: Drawing) -> Iterator[str]:
    if drawing.begins not in ("", BEGINS) or (drawing.when and not drawing.begins):
        yield _(
            "The start: it begins by hand (empty) or with a new course (“{word}”), then with a condition."
        ).format(word=BEGINS)
    if drawing.when:
        try:
            if expression.names(drawing.when) - START_NAMES:
                yield _("The start: its condition may ask for {all}.").format(
                    all=", ".join(sorted(START_NAMES))
                )
            else:
                expression.evaluate(drawing.when, dict.fromkeys(START_NAMES, ""))
        except BadInput as why:
            yield _("The start: {why}").format(why=why)


def _ways(drawing: Drawing) -> Iterator[str]:
    starts = [name for name, node in drawing.nodes.items() if node.kind == "start"]
    ends = [name for name, node in drawing.nodes.items() if node.kind == "end"]
    forward, backward = drawing.reached(starts), drawing.reached(ends, back=True)
    for name, node in drawing.nodes.items():
        shown = node.title or name
        if name not in forward:
            yield _("“{box}” is never reached from the start.").format(box=shown)
        elif name not in backward:
            yield _("“{box}” is a dead end: no way leads from it to the end.").format(box=shown)
        onward = len(drawing.following(name))
        if node.kind == "step" and onward > 1:
            yield _("“{box}” has {n} ways on; put a gateway behind it.").format(box=shown, n=onward)


def _gates(drawing: Drawing) -> Iterator[str]:
    for name, node in drawing.nodes.items():
        flows = [flow for flow in drawing.flows if flow.source == name]
        if node.kind != "exclusive" or len(flows) < 2:
            continue
        shown = node.title or name
        if sum(flow.default for flow in flows) != 1:
            yield _("Gateway “{box}”: exactly one of its ways must be the default.").format(box=shown)
        for flow in flows:
            if not flow.default:
                yield from _condition(shown, flow.condition)


def _condition(shown: str, text: str) -> Iterator[str]:
    if not text.strip():
        yield _('Gateway “{box}”: a way has no condition, such as outcome == "agree".').format(box=shown)
        return
    try:
        if expression.names(text) - CONDITION_NAMES:
            yield _("Gateway “{box}”: only `outcome` can be asked for.").format(box=shown)
            return
        for outcome in OUTCOME:
            expression.evaluate(text, {"outcome": outcome})
    except BadInput as why:
        yield _("Gateway “{box}”: {why}").format(box=shown, why=why)


def _steps(drawing: Drawing, forms: Collection[str]) -> Iterator[str]:
    for step in drawing.steps.values():
        shown = step.title
        if step.role not in ROLES:
            yield _("“{box}” has no role: put it into a lane with one of {all}.").format(
                box=shown, all=", ".join(ROLES)
            )
        if step.deed in WITH_FORM and step.form not in forms:
            yield _("“{box}” needs a form: one of {all}.").format(box=shown, all=", ".join(sorted(forms)))
        yield from _relations(drawing, step)


def _relations(drawing: Drawing, step: Step) -> Iterator[str]:
    for other in (step.other_than, step.same_as):
        if other and other not in drawing.steps:
            yield _("“{box}” speaks of the step “{other}”, which there is not.").format(
                box=step.title, other=other
            )
    unknown = set(step.extra_outcomes) - set(OUTCOME)
    if unknown or (step.extra_outcomes and step.deed is not Deed.DO):
        yield _("“{box}”: outcomes of its own are for steps that are done, out of {all}.").format(
            box=step.title, all=", ".join(OUTCOME)
        )
    if set(step.done_on) - set(HAPPENING) or (step.done_on and step.deed is not Deed.DO):
        yield _("“{box}”: only what is done can end by itself, on {all}.").format(
            box=step.title, all=", ".join(HAPPENING)
        )
    if step.deed is Deed.DECIDE and not any(
        other.form == step.form and other.deed is Deed.FILL for other in drawing.steps.values()
    ):
        yield _("“{box}” decides on a form that no step fills.").format(box=step.title)
