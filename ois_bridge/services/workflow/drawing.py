"""A process as drawn (BPMN 2.0) read into steps and arrows.

Only boxes that people understand are taken: start, end, user task, exclusive and parallel gateway, in
lanes. What a step needs stands in attributes of the namespace `NAMESPACE`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.process_steps import Deed, Drawing, Flow, Node, Step

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
NAMESPACE = "http://ptcs.org/bpmn"
LARGEST = 1_000_000
KINDS = {
    "startEvent": "start",
    "endEvent": "end",
    "userTask": "step",
    "exclusiveGateway": "exclusive",
    "parallelGateway": "parallel",
}
SILENT = frozenset({"laneSet", "sequenceFlow", "textAnnotation", "association", "documentation"})


def read(text: str) -> Drawing:
    """The drawing of a BPMN file. Raises BadInput: no BPMN, more than one process, a box not in `KINDS`."""
    process = _process(text)
    roles = _roles(process)
    nodes: dict[str, Node] = {}
    begins = when = ""
    steps: dict[str, Step] = {}
    for element in _children(process):
        tag = etree.QName(element).localname
        if tag in SILENT:
            continue
        name, title = element.get("id", ""), " ".join(element.get("name", "").split())
        if tag not in KINDS:
            raise BadInput(
                _("“{box}” is a {tag}, which is not used here; there are: {all}.").format(
                    box=title or name, tag=tag, all=", ".join(KINDS)
                )
            )
        if any(etree.QName(part).localname.endswith("EventDefinition") for part in _children(element)):
            raise BadInput(
                _("“{box}”: timers, messages and signals are not used here.").format(box=title or name)
            )
        nodes[name] = Node(name, KINDS[tag], title)
        if tag == "userTask":
            steps[name] = _step(element, name, title, roles.get(name, ""))
        if tag == "startEvent":
            begins, when = _own(element, "begins"), _own(element, "when")
    return Drawing(process.get("id", ""), nodes, tuple(_flows(process)), steps, begins, when)


def titles(text: str) -> tuple[str, str]:
    """English and Chinese name of a drawn process. Raises BadInput."""
    process = _process(text)
    return process.get("name", "")[:120], process.get(f"{{{NAMESPACE}}}zh", "")[:120]


def retitled(text: str, name: str, title: str, title_zh: str) -> str:
    """A copy of a drawing under another name, which begins by hand. Raises BadInput."""
    process = _process(text)
    before, after = process.get("id", ""), name.replace("-", "_")
    process.set("id", after)
    pools = [
        one for one in process.getroottree().iter(f"{{{BPMN}}}participant") if one.get("processRef") == before
    ]
    for one in (process, *pools):
        one.set("name", title)
        one.set(f"{{{NAMESPACE}}}zh", title_zh)
    for pool in pools:
        pool.set("processRef", after)
    for start in process.iter(f"{{{BPMN}}}startEvent"):
        start.attrib.pop(f"{{{NAMESPACE}}}begins", None)
    return str(etree.tostring(process.getroottree(), encoding="unicode"))


def tree(text: str) -> Any:
    """The file as the engine takes it. Raises BadInput."""
    return _process(text).getroottree()


def _process(text: str) -> Any:
    if len(text) > LARGEST:
        raise BadInput(_("A drawing has at most {n} characters.").format(n=LARGEST))
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as why:
        raise BadInput(_("This is no BPMN drawing: {why}.").format(why=why)) from why
    if root.getroottree().docinfo.doctype:
        raise BadInput(_("A drawing with a document type is not taken."))
    found = root.findall(f"{{{BPMN}}}process")
    if root.tag != f"{{{BPMN}}}definitions" or len(found) != 1:
        raise BadInput(_("A drawing (BPMN 2.0) with exactly one process is needed."))
    return found[0]


def _children(element: Any) -> Iterator[Any]:
    for child in element:
        if isinstance(child.tag, str) and etree.QName(child).namespace == BPMN:
            yield child


def _roles(process: Any) -> dict[str, str]:
    """Box -> role of the lane that it lies in: its attribute `role`, else its name."""
    return {
        (reference.text or "").strip(): lane.get(f"{{{NAMESPACE}}}role") or lane.get("name", "").strip()
        for lane in process.iter(f"{{{BPMN}}}lane")
        for reference in lane.findall(f"{{{BPMN}}}flowNodeRef")
    }


def _flows(process: Any) -> Iterator[Flow]:
    defaults = {element.get("default") for element in _children(process) if element.get("default")}
    for element in process.findall(f"{{{BPMN}}}sequenceFlow"):
        condition = element.findtext(f"{{{BPMN}}}conditionExpression", "").strip()
        name = element.get("id", "")
        yield Flow(element.get("sourceRef", ""), element.get("targetRef", ""), condition, name in defaults)


def _own(element: Any, attribute: str) -> str:
    return (element.get(f"{{{NAMESPACE}}}{attribute}") or "").strip()


def _step(element: Any, name: str, title: str, role: str) -> Step:
    own = partial(_own, element)
    deed = own("deed") or Deed.DO.value
    if deed not in list(Deed):
        raise BadInput(_("“{box}”: its deed is one of {all}.").format(box=title, all=", ".join(Deed)))
    if not title or len(title) > 120 or len(name) > 64:
        raise BadInput(_("Each step has a title of 1 to 120 characters (“{name}”).").format(name=name[:64]))
    return Step(
        name=name,
        title_en=title,
        title_zh=own("zh")[:120],
        role=own("role") or role,
        deed=Deed(deed),
        form=own("form"),
        due_hours=_hours(own("dueHours"), title),
        assign=own("assign") == "true",
        other_than=own("otherThan"),
        same_as=own("sameAs"),
        signed=own("sign") == "true",
        extra_outcomes=tuple(own("outcomes").split()),
        done_on=tuple(own("doneOn").split()),
    )


def _hours(text: str, title: str) -> float:
    try:
        hours = float(text or 0)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= 24 * 365:
        raise BadInput(_("“{box}”: due in 0 to 8760 hours.").format(box=title))
    return hours
