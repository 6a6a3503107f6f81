"""Who may do what in the OIS: one table, least privilege."""

from collections.abc import Iterable
from enum import StrEnum

from common.errors import Unauthorised
from common.text import _
from ois_bridge.domain.words import N_, ROLE


class Action(StrEnum):
    """Everything that asks for a right."""

    READ_PATIENTS = N_("read patients")
    REGISTER_PATIENT = N_("register patients")
    EDIT_PATIENT = N_("change patient data")
    READ_CONTACTS = N_("read id cards and contact data")
    EXPORT_LIST = N_("export lists of patients")
    SEARCH_FORMS = N_("search in forms")
    MERGE_PATIENTS = N_("merge patient records")
    ADD_COURSE = N_("add courses")
    PRESCRIBE = N_("prescribe")
    READ_PRESCRIPTION = N_("read prescriptions")
    READ_INSTANCES = N_("read image lists")
    READ_PLAN = N_("read plans")
    SUBMIT_PLAN = N_("submit plans")
    APPROVE_PLAN = N_("approve plans")
    REVOKE_PLAN = N_("revoke plans")
    WRITE_REPORT = N_("write reports")
    READ_TASKS = N_("read tasks")
    WORK_ON_TASKS = N_("work on tasks")
    START_PROCESS = N_("start processes")
    READ_PROCESS = N_("read process logs")
    ASSIGN_TASKS = N_("assign tasks")
    READ_FORM = N_("read forms")
    WRITE_FORM = N_("fill and decide on forms")
    READ_DESIGNS = N_("read processes and designs of forms")
    DESIGN = N_("design processes and forms")
    READ_DEVICES = N_("read states of devices")
    READ_ARCHIVE = N_("read the archive of the machine")
    REPORT_FAULT = N_("report faults")
    READ_REPORT = N_("read reports")
    SIGN_RECORD = N_("sign records")
    EDIT_DIAGNOSIS = N_("diagnose")
    ACT_ON_COURSE = N_("change the state of courses")
    WRITE_SUMMARY = N_("write course summaries")
    EDIT_ALERTS = N_("edit alerts")
    READ_REVIEWS = N_("read reviews")
    REVIEW_PATIENT = N_("review patients")
    FOLLOW_UP = N_("follow patients up")
    MANAGE_STUDIES = N_("manage studies")
    EXPORT_RECORD = N_("export records")
    READ_APPOINTMENTS = N_("read appointments")
    BOOK_APPOINTMENT = N_("book appointments")
    BOOK_QA = N_("book machine QA")
    PLAN_SHEET = N_("plan the appointment sheet")
    TAKE_PAPER = N_("enter the paper of a downtime")
    EDIT_CALENDAR = N_("edit holidays and device hours")
    RESTRICT_RECORD = N_("restrict records")
    SEED_DEPARTMENT = N_("fill a demonstration department")
    MANAGE_ACCOUNTS = N_("manage accounts")
    MANAGE_OUTBOX = N_("manage outgoing messages")
    READ_QUEUE = N_("read the queues")
    SIGN_IN = N_("sign patients in by their own number")
    SIGN_IN_FOR = N_("sign patients in")
    CALL_PATIENTS = N_("call patients")
    ENROL_FEATURES = N_("enrol faces and fingerprints")
    PUT_FORWARD = N_("put patients forward")
    SET_QUEUE_RULE = N_("set the order of the queues")
    WRITE_NOTICES = N_("write notices for the screens")
    ANNOUNCE_FAULT = N_("announce faults of devices to patients")
    MANAGE_SCREENS = N_("manage screens")
    LOOK_AT_SCREEN = N_("show a screen")
    EDIT_NOTICE_WAYS = N_("set how patients are told")


_ANY = frozenset({"operator", "physicist", "physician", "therapist", "service", "administrator"})
_MACHINE = _ANY - {"administrator"}
_DEPARTMENT = frozenset({"physician", "physicist", "therapist", "receptionist"})
_PLANNERS = frozenset({"physician", "physicist"})
_CLINICAL = frozenset({"physician", "physicist", "therapist"})

MAY: dict[Action, frozenset[str]] = {
    Action.READ_PATIENTS: _DEPARTMENT,
    Action.REGISTER_PATIENT: _PLANNERS | {"receptionist"},
    Action.EDIT_PATIENT: frozenset({"physician", "receptionist"}),
    Action.READ_CONTACTS: frozenset({"physician", "receptionist"}),
    Action.EXPORT_LIST: _DEPARTMENT,
    Action.SEARCH_FORMS: _DEPARTMENT,
    Action.MERGE_PATIENTS: frozenset({"physician", "receptionist"}),
    Action.ADD_COURSE: frozenset({"physician"}),
    Action.PRESCRIBE: frozenset({"physician"}),
    Action.READ_PRESCRIPTION: _CLINICAL,
    Action.READ_INSTANCES: _MACHINE,
    Action.READ_PLAN: _MACHINE,
    Action.SUBMIT_PLAN: frozenset({"physicist"}),
    Action.APPROVE_PLAN: frozenset({"physician"}),
    Action.REVOKE_PLAN: frozenset({"physician"}),
    Action.WRITE_REPORT: frozenset({"physicist"}),
    Action.READ_REPORT: _CLINICAL,
    Action.READ_TASKS: _DEPARTMENT,
    Action.WORK_ON_TASKS: _DEPARTMENT,
    Action.START_PROCESS: _PLANNERS | {"receptionist"},
    Action.READ_PROCESS: _CLINICAL,
    Action.ASSIGN_TASKS: frozenset({"physicist"}),
    Action.READ_FORM: _CLINICAL,
    Action.WRITE_FORM: _CLINICAL,
    Action.READ_DESIGNS: _DEPARTMENT | {"administrator"},
    Action.DESIGN: frozenset({"administrator"}),
    Action.READ_DEVICES: _ANY,
    Action.READ_ARCHIVE: frozenset({"operator", "physicist", "service", "administrator"}),
    Action.REPORT_FAULT: frozenset({"operator", "physicist", "therapist", "service"}),
    Action.SIGN_RECORD: frozenset({"operator", "physicist", "service"}),
    Action.EDIT_DIAGNOSIS: frozenset({"physician"}),
    Action.ACT_ON_COURSE: frozenset({"physician"}),
    Action.WRITE_SUMMARY: frozenset({"physician"}),
    Action.EDIT_ALERTS: frozenset({"physician", "receptionist"}),
    Action.READ_REVIEWS: _CLINICAL,
    Action.REVIEW_PATIENT: frozenset({"physician"}),
    Action.FOLLOW_UP: frozenset({"physician"}),
    Action.MANAGE_STUDIES: frozenset({"physician"}),
    Action.EXPORT_RECORD: _DEPARTMENT,
    Action.READ_APPOINTMENTS: _DEPARTMENT,
    Action.BOOK_APPOINTMENT: frozenset({"receptionist", "therapist"}),
    Action.BOOK_QA: frozenset({"physicist", "therapist"}),
    Action.PLAN_SHEET: frozenset({"receptionist", "therapist", "physicist"}),
    Action.TAKE_PAPER: frozenset({"receptionist", "therapist"}),
    Action.EDIT_CALENDAR: frozenset({"physicist", "administrator"}),
    Action.RESTRICT_RECORD: frozenset({"physician"}),
    Action.SEED_DEPARTMENT: frozenset({"administrator"}),
    Action.MANAGE_ACCOUNTS: frozenset({"administrator"}),
    Action.MANAGE_OUTBOX: frozenset({"administrator"}),
    Action.READ_QUEUE: _DEPARTMENT,
    Action.SIGN_IN: frozenset({"therapist", "receptionist", "screen"}),
    Action.SIGN_IN_FOR: frozenset({"therapist", "receptionist"}),
    Action.CALL_PATIENTS: frozenset({"therapist"}),
    Action.ENROL_FEATURES: frozenset({"receptionist", "therapist"}),
    Action.PUT_FORWARD: frozenset({"therapist", "physician"}),
    Action.SET_QUEUE_RULE: frozenset({"therapist", "administrator"}),
    Action.WRITE_NOTICES: frozenset({"therapist", "receptionist", "administrator"}),
    Action.ANNOUNCE_FAULT: frozenset({"therapist", "physicist", "physician"}),
    Action.MANAGE_SCREENS: frozenset({"administrator"}),
    Action.LOOK_AT_SCREEN: frozenset({"screen"}),
    Action.EDIT_NOTICE_WAYS: frozenset({"receptionist", "therapist"}),
}


def may(roles: Iterable[str], action: Action) -> bool:
    """Whether one of the roles has the right."""
    return bool(frozenset(roles) & MAY[action])


def check(user: str, roles: Iterable[str], action: Action) -> None:
    """Raise Unauthorised unless one of the roles has the right."""
    if not may(roles, action):
        raise Unauthorised(
            _("{user} may not {action}: this needs the role {roles}.").format(
                user=user,
                action=_(action.value),
                roles=_(" or ").join(_(ROLE[role]) for role in sorted(MAY[action])),
            )
        )
