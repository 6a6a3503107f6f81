"""Processes and forms that a department changes: versions, faults, a signature provider of the hospital."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common import site
from common.errors import BadInput, Tampered, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.models.workflow import ProcessRecord
from ois_bridge.services.context import Context
from ois_bridge.services.forms import designs as forms
from ois_bridge.services.forms import printing, records, signing
from ois_bridge.services.workflow import designs, log, tasks
from ois_bridge.services.workflow.tasks import Verdict
from tests.ois_bridge.workflow_steps import (
    ADMIN,
    DESK,
    PHYSICIAN,
    begun,
    do,
    fill,
    open_tasks,
    staff,
    up_to,
)

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Context]:
    root = tmp_path_factory.mktemp("designs")
    place(root)
    built = process.build(StateDir(root), site.load())
    staff(built)
    yield built
    built.close()


def test_running_processes_keep_their_version(means: Context) -> None:
    before = begun(means, "old", "replanning")
    with means.database.reading() as session:
        text = designs.active(session, "replanning").drawing
    shorter = text.replace('targetRef="plan-check"', 'targetRef="plan-approval"', 1)
    with pytest.raises(BadInput, match="never reached"):
        designs.publish(means, ADMIN, "replanning", shorter, "")
    with pytest.raises(Unauthorised):
        designs.publish(means, PHYSICIAN, "replanning", text, "")
    renamed = text.replace('name="Plan request"', 'name="New plan wanted"')
    assert designs.publish(means, ADMIN, "replanning", renamed, "clearer").version == 2
    after = begun(means, "new", "replanning")
    assert open_tasks(means, before)["plan-request"].title == "Plan request"
    assert open_tasks(means, after)["plan-request"].title == "New plan wanted"
    for key in (before, after):
        up_to(means, key, "nothing of the kind")
        assert open_tasks(means, key) == {}
    with means.database.reading() as session:
        versions = {row.course_key: row.version for row in session.scalars(select(ProcessRecord))}
        assert (versions[before], versions[after]) == (1, 2)
        ended = session.scalar(select(ProcessRecord.key).where(ProcessRecord.course_key == before))
    designs.activate(means, ADMIN, "replanning", 1)
    with means.database.reading() as session:
        assert designs.active(session, "replanning").version == 1
    lines = log.as_csv(means, PHYSICIAN, ended).splitlines()
    assert len(lines) == 1 + 1 + 6 + 1
    assert ",plan-check," in lines[4]
    with pytest.raises(Unauthorised):
        log.as_csv(means, DESK, ended)


def test_forms_keep_the_design_that_they_were_made_by(means: Context) -> None:
    key = begun(means, "form", "replanning")
    form = records.open_form(means, PHYSICIAN, key, "plan-request")
    with means.database.reading() as session:
        content = forms.active(session, "plan-request").content
    longer = {**content, "sections": [*content["sections"], {
        "title": {"en": "More"}, "fields": [
            {"name": "trial", "kind": "text", "label": {"en": "Trial"}, "required": True}]}]}  # fmt: skip
    assert forms.publish(means, ADMIN, longer, "trials").version == 2
    with pytest.raises(BadInput, match="no field trial"):
        records.save(means, PHYSICIAN, form.key, {"trial": "T1"}, form.revision)
    do(means, key, "plan-request")
    other = begun(means, "form2", "replanning")
    new = records.open_form(means, PHYSICIAN, other, "plan-request")
    assert new.version == 2
    assert records.save(means, PHYSICIAN, new.key, {"trial": "T1"}, new.revision).content == {"trial": "T1"}
    for language in ("en", "zh"):
        assert printing.pdf(means, PHYSICIAN, form.key, language).startswith(b"%PDF")


class Hospital:
    """A signature provider as a hospital has one: its own tokens, its own PIN."""

    def sign(self, user: str, digest: str, meaning: str, secret: str) -> str:
        if secret != "1234":
            raise Unauthorised("the PIN is wrong")
        return f"{user}|{digest}|{meaning}"

    def verify(self, signature: str, digest: str) -> Mapping[str, Any]:
        user, signed, meaning = signature.split("|")
        if signed != digest:
            raise Tampered("the content was changed")
        return {"user": user, "meaning": meaning, "time": "2026-11-23T08:00:00+00:00"}


def test_signature_of_the_hospital(means: Context) -> None:
    here = replace(means, signatures=Hospital())
    key = begun(here, "hook")
    do(here, key, "consultation")
    form = fill(here, PHYSICIAN, key, "consent")
    task = open_tasks(here, key)["consent"]
    with pytest.raises(Unauthorised, match="PIN"):
        tasks.finish(here, PHYSICIAN, task.key, Verdict("agree", "", "0000"))
    tasks.finish(here, PHYSICIAN, task.key, Verdict("agree", "", "1234"))
    with here.database.reading() as session:
        row = records.approved(session, key, "consent")
        assert row is not None
        assert row.key == form
        assert signing.verify(here, row).meaning == "consent"
        with pytest.raises(Tampered):
            signing.verify(means, row)
