"""The engine that moves processes on: functions from a kept state to the next one.

Nothing is held between calls: the state is a text that the caller keeps in the row of its process, in the
same transaction as all that belongs to the step. Conditions of gateways are read by domain/expression.py;
nothing of a drawing is executed as Python.
"""

import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from SpiffWorkflow.bpmn.exceptions import WorkflowTaskException
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.parser.ValidationException import ValidationException
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.exceptions import SpiffWorkflowException
from SpiffWorkflow.util.task import TaskState as EngineState

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain import expression
from ois_bridge.services.workflow import drawing as drawings

# each step of each task is an entry at its level INFO; the log of processes says all of it
logging.getLogger("spiff").setLevel(logging.WARNING)

LONGEST_RUN = 400
_SPEC_PARTS = ("spec", "subprocess_specs")
"""Parts of a kept state that its drawing says; they are not kept twice."""


@dataclass(frozen=True)
class Progress:
    """Where a process stands: its state to keep, the names of the steps that wait, whether it is over."""

    state: str
    waiting: frozenset[str]
    ended: bool


class _Rules(PythonScriptEngine):  # type: ignore[misc]
    """Evaluates conditions with the house's own small language, and runs no scripts."""

    def validate(self, condition: str) -> None:
        """Raises BadInput for a condition that cannot be read."""
        expression.names(condition)

    def evaluate(self, task: Any, condition: str, **_external: Any) -> bool:
        """Whether a way is taken after a step."""
        return bool(expression.evaluate(condition, {"outcome": str(task.data.get("outcome", ""))}))

    def execute(self, *_task_and_script: Any, **_external: Any) -> None:
        """No script is ever run."""
        raise Refused(_("Scripts in processes are not run."))


def start(drawing: str) -> Progress:
    """A new process of a drawing. Raises BadInput for one that the engine cannot read."""
    workflow = BpmnWorkflow(_loaded(drawing)[0], script_engine=_Rules())
    return _go_on(workflow)


def where(drawing: str, state: str) -> Progress:
    """Where a kept process stands."""
    return _go_on(_restored(drawing, state))


def advance(drawing: str, state: str, step: str, outcome: str) -> Progress:
    """After a waiting step ended with an outcome. Raises Refused when that step does not wait."""
    workflow = _restored(drawing, state)
    ready = [task for task in workflow.get_tasks(state=EngineState.READY) if task.task_spec.name == step]
    if not ready:
        raise Refused(_("This step is not waiting any more; open the list again."))
    ready[0].data["outcome"] = outcome
    ready[0].run()
    return _go_on(workflow)


def go_back(drawing: str, state: str, step: str) -> Progress:
    """Back to a step that was done: all after it is undone. Raises Refused when it was never done."""
    workflow = _restored(drawing, state)
    done = [task for task in workflow.get_tasks(state=EngineState.COMPLETED) if task.task_spec.name == step]
    if not done:
        raise Refused(_("The process was never at this step."))
    last = max(done, key=lambda task: (task.last_state_change, task.depth))
    workflow.reset_from_task_id(last.id)
    return _go_on(workflow)


def simulate(drawing: str, refusing: str = "") -> list[str]:
    """A run to the end in which everybody takes the first outcome; the steps in their order.

    The step `refusing` takes its last outcome, once. Raises BadInput for a run that does not end.
    """
    steps = drawings.read(drawing).steps
    progress = start(drawing)
    way: list[str] = []
    while not progress.ended:
        if not progress.waiting or len(way) >= LONGEST_RUN:
            raise BadInput(
                _("A run of this process does not end; it was last at {step}.").format(
                    step=steps[way[-1]].title if way else _("none")
                )
            )
        step = steps[min(progress.waiting)]
        refuses = step.name == refusing and step.name not in way
        way.append(step.name)
        progress = advance(drawing, progress.state, step.name, step.outcomes[-1 if refuses else 0])
    return way


@lru_cache(maxsize=64)
def _loaded(drawing: str) -> tuple[Any, dict[str, Any]]:
    """The engine's own form of a drawing, and the same as data."""
    name = drawings.read(drawing).process_id
    parser = BpmnParser()
    try:
        parser.add_bpmn_xml(drawings.tree(drawing))
        spec = parser.get_spec(name)
        kept = _kept(BpmnWorkflow(spec, script_engine=_Rules()))
    except (ValidationException, SpiffWorkflowException, KeyError, AttributeError) as why:
        raise BadInput(_("The engine cannot read this drawing: {why}.").format(why=why)) from why
    return spec, {part: kept[part] for part in _SPEC_PARTS}


def _kept(workflow: Any) -> dict[str, Any]:
    return dict(_serializer().to_dict(workflow))


@lru_cache(maxsize=1)
def _serializer() -> Any:
    return BpmnWorkflowSerializer()


def _restored(drawing: str, state: str) -> Any:
    data = {**json.loads(state), **_loaded(drawing)[1]}
    workflow = _serializer().from_dict(data)
    workflow.script_engine = _Rules()
    return workflow


def _go_on(workflow: Any) -> Progress:
    try:
        workflow.do_engine_steps()
    except WorkflowTaskException as why:
        raise BadInput(_("A gateway has no way on: {why}.").format(why=why)) from why
    waiting = frozenset(task.task_spec.name for task in workflow.get_tasks(state=EngineState.READY))
    data = {name: part for name, part in _kept(workflow).items() if name not in _SPEC_PARTS}
    return Progress(json.dumps(data, separators=(",", ":")), waiting, bool(workflow.completed))
