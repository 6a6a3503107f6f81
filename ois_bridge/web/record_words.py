"""Words of the record's pages: what was done, what follows from a step, names of codes."""

from collections.abc import Callable, Mapping

from common.text import _
from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.domain.words import N_

DONE: Mapping[str, Callable[[], str]] = {
    "registered": lambda: _("The patient is registered."),
    "merged": lambda: _("The records are merged; the other number leads here from now on."),
    "stayed": lambda: _("That number belongs to a record that was merged into this one."),
    "changed": lambda: _("The patient's data are changed."),
    "course": lambda: _("The course is added."),
    "prescribed": lambda: _("The prescription is written."),
    "submit": lambda: _("The plan is submitted for approval."),
    "approve": lambda: _("The plan is approved and signed."),
    "revoke": lambda: _("The plan is revoked."),
    "alerts": lambda: _("The alerts are kept."),
    "diagnosis": lambda: _("Diagnosis and stage are kept."),
    "acted": lambda: _("The course is changed."),
    "review": lambda: _("The review is signed and kept."),
    "charging": lambda: _("The charging system was asked."),
    "follow-up": lambda: _("The follow-up is kept."),
    "study": lambda: _("The study is kept."),
    "summary": lambda: _("The course summary is kept."),
    "signed": lambda: _("The course summary is signed."),
    "withdrawn": lambda: _("The course summary is withdrawn."),
    "imported": lambda: _("The table of diagnoses is taken in."),
}
"""What was just done, by the word in the address."""

CONSEQUENCE: Mapping[CourseEvent, str] = {
    CourseEvent.INTERRUPT: N_(
        "All appointments to come are cancelled; tasks stay and go on when it is resumed."
    ),
    CourseEvent.CANCEL: N_("All appointments to come and all open tasks are cancelled."),
    CourseEvent.END: N_("All appointments to come and all open tasks are cancelled."),
    CourseEvent.RESUME: N_("The course can be booked and treated again; appointments are made anew."),
    CourseEvent.REOPEN: N_("The course can be booked and treated again; appointments are made anew."),
    CourseEvent.TO_HISTORY: N_("The course is folded away for good; it cannot be changed any more."),
}

EVENT: Mapping[CourseEvent, str] = {
    CourseEvent.INTERRUPT: N_("Interrupt course"),
    CourseEvent.RESUME: N_("Resume course"),
    CourseEvent.CANCEL: N_("Cancel course"),
    CourseEvent.END: N_("End course"),
    CourseEvent.TO_HISTORY: N_("Course to history"),
    CourseEvent.REOPEN: N_("Reopen course"),
}

CHARGING: Mapping[str, str] = {
    "paid": N_("paid"),
    "unpaid": N_("unpaid"),
    "partly paid": N_("partly paid"),
    "insured": N_("insured"),
    "refunded": N_("refunded"),
    "unknown": N_("not known"),
}

FORM: Mapping[str, str] = {
    "simulation-sheet": N_("Immobilisation and simulation sheet"),
    "plan-request": N_("Plan request"),
    "treatment-sheet": N_("Treatment sheet"),
    "consent": N_("Informed consent"),
    "course-summary": N_("Course summary"),
}


def done(word: str, numbers: Mapping[str, str]) -> str:
    """The message for an address; `appointments` and `tasks` in it count what was cancelled."""
    if word not in DONE:
        return ""
    counts = [numbers.get(name, "") for name in ("appointments", "tasks")]
    if word == "acted" and all(count.isdecimal() and len(count) < 6 for count in counts):
        return (
            DONE[word]() + " " + _("Cancelled: {a} appointments, {t} tasks.").format(a=counts[0], t=counts[1])
        )
    return DONE[word]()
