"""The pure rules: conditions, drawings, assignment, designs and contents of forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadConfig, BadInput, Refused
from common.yaml_file import CONFIG
from ois_bridge.domain import assignment, drawing_faults, expression, form_content, form_design
from ois_bridge.domain.assignment import Candidate
from ois_bridge.services.workflow import assigning, drawing, engine, guards

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")

COURSE = (CONFIG / "department/processes/proton-course.bpmn").read_text(encoding="utf-8")
FORMS = {"consent", "simulation-sheet", "plan-request", "treatment-sheet", "course-summary"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "outcome.__class__",
        "[1][0]",
        "(lambda: 1)()",
        "2 ** 9999999",
        "'a' * 99999999",
        "'a' + 'b'",
        "1 / 0",
        "unknown",
        "open('x')",
        "f'{outcome}'",
        "1 if",
        "(" * 300,
        "9" * 500,
        "None",
        "10e400 - 10e400",
    ],
)
def test_a_rule_is_a_small_language(text: str) -> None:
    with pytest.raises(BadInput):
        expression.evaluate(text, {"outcome": "agree"})


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        found = expression.evaluate(text, {"outcome": "agree", "x": 1.0})
    except BadInput:
        return
    assert isinstance(found, bool | int | float | str)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_sums_are_those_of_numbers(one: float, two: float) -> None:
    values: dict[str, expression.Value] = {"one": one, "two": two}
    assert expression.evaluate("one - 2 * two", values) == one - 2 * two
    assert expression.evaluate("min(one, two) <= max(one, two) and not one > one", values) is True
    assert expression.evaluate("one if one > two else two", values) == max(one, two)


def judged(text: str) -> str:
    return " ".join(drawing_faults.faults(drawing.read(text), FORMS))


def test_good_drawing_has_no_fault_and_runs_to_the_end() -> None:
    assert judged(COURSE) == ""
    assert engine.simulate(COURSE)[-1] == "course-summary"
    assert engine.simulate(COURSE, refusing="plan-check").count("planning") == 2


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('ptcs:role="therapist"', 'ptcs:role="nurse"', "has no role"),
        ('ptcs:form="consent"', "", "needs a form"),
        ('sourceRef="course-summary" targetRef="end"', 'sourceRef="end" targetRef="end"', "dead end"),
        ('sourceRef="start" targetRef="consultation"', 'sourceRef="start" targetRef="consent"', "never"),
        ('default="flow-check-verdict-planning"', "", "exactly one of its ways"),
        ('outcome == "finish"', "outcome.x()", "a rule has names"),
        ('outcome == "finish"', "weather", "only `outcome`"),
        ('ptcs:otherThan="planning"', 'ptcs:otherThan="plan"', "which there is not"),
    ],
)
def test_faults_of_a_drawing_are_told(before: str, after: str, said: str) -> None:
    assert before in COURSE
    try:
        text = judged(COURSE.replace(before, after))
    except BadInput as why:
        text = str(why)
    assert said in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<a/>",
        COURSE.replace("bpmn:userTask", "bpmn:scriptTask"),
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + COURSE.split("?>", 1)[1],
        COURSE.replace('ptcs:dueHours="24"', 'ptcs:dueHours="soon"'),
        COURSE.replace('ptcs:deed="sign"', 'ptcs:deed="forge"'),
    ],
)
def test_what_is_no_drawing_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        drawing.read(text)


@pytest.mark.requirement("OIS-ASSIGN")
def test_rules_of_assignment() -> None:
    busy = Candidate("anna", 3.0, 2, 5, 1.0, 0.0)
    free = Candidate("bert", 1.0, 1, 9, 0.5, 0.0)
    expert = Candidate("carl", 8.0, 6, 2, 3.0, 1.0)
    away = Candidate("dora", 0.0, 0, 0, 1e6, 1.0, absent=True)
    staff = [busy, free, expert, away]
    assert assignment.choose("fewest", staff, 1.0).user == "bert"
    assert assignment.choose("round-robin", staff, 1.0).user == "carl"
    assert assignment.choose("speciality", staff, 1.0).user == "carl"
    hospital = assignment.choose("hospital", staff, 2.0, "10 * speciality - load - complexity")
    assert hospital.user == "carl"
    assert dict(hospital.scores) == {"anna": -5.0, "bert": -3.0, "carl": 0.0}
    assert hospital.absent == ("dora",)
    with pytest.raises(Refused, match="No physicist"):
        assignment.choose("fewest", [away], 1.0)
    for wrong in ("outcome", "'a'", "load.x", "1 / given - 1 / 0"):
        with pytest.raises(BadInput):
            assignment.choose("hospital", staff, 1.0, wrong)


def test_configuration_that_is_wrong_is_refused() -> None:
    good = {"rule": "hospital", "formula": "-load", "complexity": {"default": 1.0}}
    assert assigning.rule_of(good).work("impt") == 1.0
    for change in ({"rule": "best"}, {"formula": "nobody"}, {"complexity": {}}, {"complexity": None}):
        with pytest.raises(BadConfig):
            assigning.rule_of({**good, **change})
    for rows in ([{"form": "consent"}], [{"by": "physician"}], [{"form": "a", "by": "nurse"}], None):
        with pytest.raises(BadConfig):
            guards.guards_of({"guards": {"treat": rows}})


def design() -> form_design.Design:
    return form_design.read(
        {
            "kind": "trial",
            "title": {"en": "Trial", "zh": "试"},
            "sections": [
                {
                    "title": {"en": "All"},
                    "fields": [
                        {"name": "weight", "kind": "number", "label": {"en": "Weight"}, "unit": "kg",
                         "low": 1, "high": 300, "required": True},
                        {"name": "side", "kind": "choice", "label": {"en": "Side"},
                         "choices": [{"code": "l", "en": "left"}, {"code": "r", "en": "right"}]},
                        {"name": "doses", "kind": "doses", "label": {"en": "Doses"}},
                        {"name": "agreed", "kind": "yesno", "label": {"en": "Agreed"}},
                        {"name": "note", "kind": "long", "label": {"en": "Note"}},
                    ],
                }
            ],
        }
    )  # fmt: skip


def test_design_and_content() -> None:
    one = design()
    assert form_design.read(form_design.as_data(one)) == one
    fields = {
        "weight": "70.5", "side": "l", "agreed": "yes", "note": " <script>alert(1)</script> ",
        "doses.1.target": "PTV", "doses.1.dose_per_fraction": "2", "doses.1.fractions": "30",
    }  # fmt: skip
    content = form_content.written(one, fields)
    assert content["doses"] == [{"target": "PTV", "dose_per_fraction": 2.0, "fractions": 30}]
    assert form_content.checked(one, content) == content
    assert form_content.missing(one, {}) == ["Weight"]
    assert form_content.digest("trial", 1, "c", content) != form_content.digest("trial", 2, "c", content)
    assert "Weight: 70.5 kg" in form_content.words_of(one, content)
    for wrong in (
        {"weight": "301"}, {"weight": "nan"}, {"weight": "x"}, {"side": "up"}, {"agreed": "perhaps"},
        {"note": "x" * 4001}, {"doses.0.target": "PTV"}, {"doses.1.fractions": "1e999"},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            form_content.written(one, {**fields, **wrong})


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Upper Case"},
        {"title": {}},
        {"sections": []},
        {
            "sections": [
                {
                    "title": {"en": "x"},
                    "fields": [{"name": f"d{n}", "kind": "doses", "label": {"en": "a"}} for n in range(9)],
                }
            ]
        },
        {
            "sections": [
                {"title": {"en": "x"}, "fields": [{"name": "a", "kind": "secret", "label": {"en": "a"}}]}
            ]
        },
        {
            "sections": [
                {"title": {"en": "x"}, "fields": [{"name": "A b", "kind": "text", "label": {"en": "a"}}]}
            ]
        },
        {
            "sections": [
                {"title": {"en": "x"}, "fields": 2 * [{"name": "a", "kind": "text", "label": {"en": "a"}}]}
            ]
        },
        {
            "sections": [
                {"title": {"en": "x"}, "fields": [{"name": "a", "kind": "choice", "label": {"en": "a"}}]}
            ]
        },
    ],
)
def test_design_that_is_wrong_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        form_design.read({**form_design.as_data(design()), **change})
