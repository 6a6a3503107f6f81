"""English texts of the codes that pages and reports show; they are translated where they are shown."""

from collections.abc import Mapping

N_ = str
"""Marks a text for translation without translating it."""

SEX: Mapping[str, str] = {"M": N_("male"), "F": N_("female"), "O": N_("other")}

STATE: Mapping[str, str] = {
    "ARRIVED": N_("arrived"),
    "SUBMITTED": N_("submitted"),
    "APPROVED": N_("approved"),
    "REVOKED": N_("revoked"),
    "PLANNED": N_("planned"),
    "PARTIAL": N_("partly delivered"),
    "DELIVERED": N_("delivered"),
}
"""States of plans and fractions."""

STEP: Mapping[str, str] = {
    "submit": N_("submitted for approval"),
    "approve": N_("approved and signed"),
    "revoke": N_("revoked"),
}
"""Steps that were taken with a plan."""

NEXT: Mapping[str, str] = {"submit": N_("to be submitted"), "approve": N_("to be approved")}
"""Steps that are still to come."""

ENDED: Mapping[str, str] = {
    "NORMAL": N_("as planned"),
    "OPERATOR": N_("by the operator"),
    "MACHINE": N_("by the machine"),
    "UNKNOWN": N_("unknown"),
}
"""Treatment Termination Status of a beam."""

METRIC: Mapping[str, str] = {
    "mean": N_("mean dose"),
    "max": N_("highest dose"),
    "d95": "D95",
    "d2": "D2",
    "d98": "D98",
}

ROLE: Mapping[str, str] = {
    "operator": N_("operator"),
    "physicist": N_("physicist"),
    "physician": N_("physician"),
    "therapist": N_("therapist"),
    "receptionist": N_("receptionist"),
    "service": N_("service engineer"),
    "administrator": N_("administrator"),
    "screen": N_("screen of the department"),
}
