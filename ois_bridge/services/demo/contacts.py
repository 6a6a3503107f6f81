"""How staff and patients of a demonstration department are told: numbers and ids that nobody is given."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from ois_bridge.models.accounts import Account
from ois_bridge.models.queue import Contact
from ois_bridge.services.context import Context

PHONE = "100{number:08d}"
"""No mobile number of the country begins with 100."""

WECHAT = "demo-{subject}"
"""No open id begins so: a true account would refuse it."""


def of_staff(session: Session, context: Context, by: str) -> None:
    """Everybody who works here and has not said how to be told: every second by WeChat, the others by SMS."""
    told = set(session.scalars(select(Contact.subject).where(Contact.kind == "staff")))
    for number, user in enumerate(session.scalars(select(Account.user).order_by(Account.user))):
        if user not in told:
            wechat = WECHAT.format(subject=user.replace(".", "-")) if number % 2 else ""
            phone = PHONE.format(number=number + 1)
            session.add(_contact(context, "staff", user, phone, wechat, by))


def of_patient(session: Session, context: Context, key: str, number: int, by: str) -> None:
    """The WeChat id of the `number`-th patient; a patient's telephone stays empty."""
    session.add(_contact(context, "patient", key, "", WECHAT.format(subject=f"{number:05d}"), by))


def _contact(context: Context, kind: str, subject: str, phone: str, wechat: str, by: str) -> Contact:
    return Contact(
        kind=kind, subject=subject, phone=phone, wechat=wechat, language="zh", changed=context.now(),
        changed_by=by,
    )  # fmt: skip
