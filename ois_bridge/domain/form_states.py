"""The life of a filled form (plan request, treatment sheet, ...), as a table."""

from collections.abc import Mapping
from enum import StrEnum

from ois_bridge.domain.words import N_


class FormState(StrEnum):
    """Where a form stands. Guards ask for APPROVED."""

    DRAFT = N_("draft")
    SUBMITTED = N_("submitted")
    ACCEPTED = N_("accepted")
    APPROVED = N_("approved")
    REFUSED = N_("refused")
    WITHDRAWN = N_("withdrawn")


class FormEvent(StrEnum):
    """What people do with a form: 提交, 受理, 同意, 拒绝, 撤销, 修改."""

    SUBMIT = N_("submit")
    ACCEPT = N_("accept")
    AGREE = N_("agree")
    REFUSE = N_("refuse")
    WITHDRAW = N_("withdraw")
    EDIT = N_("edit")


FORM_TABLE: Mapping[FormState, Mapping[FormEvent, FormState]] = {
    FormState.DRAFT: {
        FormEvent.EDIT: FormState.DRAFT,
        FormEvent.SUBMIT: FormState.SUBMITTED,
        FormEvent.WITHDRAW: FormState.WITHDRAWN,
    },
    FormState.SUBMITTED: {
        FormEvent.ACCEPT: FormState.ACCEPTED,
        FormEvent.AGREE: FormState.APPROVED,
        FormEvent.REFUSE: FormState.REFUSED,
        FormEvent.WITHDRAW: FormState.WITHDRAWN,
    },
    FormState.ACCEPTED: {
        FormEvent.AGREE: FormState.APPROVED,
        FormEvent.REFUSE: FormState.REFUSED,
        FormEvent.WITHDRAW: FormState.WITHDRAWN,
    },
    FormState.APPROVED: {FormEvent.WITHDRAW: FormState.WITHDRAWN},
    FormState.REFUSED: {FormEvent.EDIT: FormState.DRAFT, FormEvent.WITHDRAW: FormState.WITHDRAWN},
    FormState.WITHDRAWN: {},
}
