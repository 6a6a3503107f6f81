"""Authority at the Tango border: every command and write behind a guard, errors as DevFailed."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import tango
from tango import AttrWriteType
from tango.server import Device, DeviceMeta, attribute, inheritance_patch

from common.errors import LinkLost, PtcsError, Unauthorised
from common.site import Device as SiteDevice
from common.text import _
from device_servers.callers import Client, client_of
from device_servers.context import Context
from device_servers.guard import Session

log = logging.getLogger(__name__)

Method = Callable[..., Any]


@dataclass(frozen=True)
class Rule:
    """How a command or write is guarded.

    read: open to everybody, not logged. safe: accepted from an expired session (it makes things
    safer), and never in need of control. private: its value may name a patient, or hold a secret, and is
    not logged. anyone: for every valid session; the command itself says which roles.
    """

    read: bool = False
    safe: bool = False
    private: bool = False
    anyone: bool = False


def rule(
    *, read: bool = False, safe: bool = False, private: bool = False, anyone: bool = False
) -> Callable[[Method], Method]:
    """Decorator that gives a command, or the write method of an attribute, its Rule."""

    def mark(method: Method) -> Method:
        method.write_rule = Rule(read, safe, private, anyone)  # type: ignore[attr-defined]
        return method

    return mark


def refuse(why: str, origin: str = "device") -> NoReturn:
    """Refuse a request: DevFailed with reason `Refused` and a text that says what helps."""
    tango.Except.throw_exception("Refused", why, origin)
    raise AssertionError("unreachable")


def failed(why: PtcsError) -> NoReturn:
    """A PTCS error as DevFailed: reason `LinkLost` or `Refused` (origin `authority`: because of who asks)."""
    if isinstance(why, LinkLost):
        tango.Except.throw_exception("LinkLost", str(why), "link")
    refuse(str(why), "authority" if isinstance(why, Unauthorised) else "device")


def _guarded(name: str, method: Method, *, writes: bool = False) -> Method:
    """`method` behind the guard of its device. writes: it is the write method of an attribute."""
    terms: Rule = getattr(method, "write_rule", Rule())

    @functools.wraps(method)
    def call(device: "GuardedDevice", *values: Any) -> Any:
        if writes:
            device.context.unseen.reached(device.site.name, name)
        else:
            device.context.unseen.forget(device.site.name)
        return device.guarded(name, terms, functools.partial(method, device), values)

    call.write_rule = terms  # type: ignore[attr-defined]
    call.is_guarded = True  # type: ignore[attr-defined]
    return call


def _after_asking(method: Method) -> Method:
    """`delete_device` that ends nothing before whoever asks for it (Init) is known to have the right."""

    @functools.wraps(method)
    def call(device: "GuardedDevice") -> Any:
        outermost, device.ending = not device.ending, True
        try:
            if outermost:
                device.check_init()
            return method(device)
        finally:
            if outermost:
                device.ending = False

    return call


class GuardedMeta(DeviceMeta):
    """Puts every command and write method of a device class behind the guard, so that none is forgotten."""

    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
        """Make the class. Raises TypeError for a writable attribute without a write method in its class."""
        inheritance_patch(members)
        if "delete_device" in members:
            members["delete_device"] = _after_asking(members["delete_device"])
        for key, member in list(members.items()):
            if isinstance(member, attribute):
                if getattr(member, "fset", None) and not hasattr(member.fset, "is_guarded"):
                    member.fset = _guarded(key, member.fset, writes=True)
            elif hasattr(member, "__tango_command__") and not hasattr(member, "is_guarded"):
                members[key] = _guarded(key, member)
        made = super().__new__(mcs, name, bases, members)
        for key, member in vars(made).items():
            writable = isinstance(member, attribute) and member.attr_write != AttrWriteType.READ
            if writable and not hasattr(getattr(member, "fset", None), "is_guarded"):
                raise TypeError(f"{name}.{key} is writable without a guard: give it a write method")
        return made


class GuardedDevice(Device, metaclass=GuardedMeta):
    """A device whose writes need a session with the right role, and are logged."""

    caller: Session | None = None
    """Session of the guarded call in progress."""
    acting: Session | None = None
    """Session of the user for whom this server itself calls (behalf.py); set under the device's monitor."""
    busy = False
    """Whether a guarded call is in progress: it holds the device, and a push would wait for it."""
    ending = False
    """Whether `delete_device` is under way."""
    context: Context
    site: SiteDevice

    def check_init(self) -> None:
        """A client that asks for Init must be allowed to write here. Raises DevFailed."""
        self.context.unseen.forget(self.site.name)
        ident = self.get_client_ident()
        if ident is not None and not str(ident.client_ip).startswith("collocated"):
            self.guarded("Init", Rule(), lambda: None, ())

    def always_executed_hook(self) -> None:
        """A call begins; what Tango does not let through shows itself by not reaching the device."""
        if self.context.unseen.begin(self.site.name):
            self.context.unseen.settle_one(self)

    def read_attr_hardware(self, attr_list: Any) -> None:  # noqa: ARG002 - tango's own signature
        """The call under way reads."""
        self.context.unseen.forget(self.site.name)

    def refresh(self) -> None:
        """Something may have changed: have it pushed soon. Any thread."""

    @property
    def client(self) -> Client:
        """The client process of the call in progress."""
        return client_of(self.get_client_ident())

    def guarded(self, what: str, terms: Rule, act: Method, values: tuple[Any, ...]) -> Any:
        """Do `act(*values)` for the client of this call if it may, and log it. Raises only DevFailed."""
        if terms.read:
            return _as_devfailed(act, values)
        guard, acting = self.context.guard, self.acting
        client = acting.client if acting else self.client
        said = "(private)" if terms.private else ", ".join(_plain(value) for value in values)
        entry = functools.partial(guard.record, client, self.site.name, what, said, session=acting)
        try:
            area, name = "" if terms.anyone else self.site.area, self.site.name
            if acting:
                self.caller = guard.check_session(acting, area, safe=terms.safe, device=name)
            else:
                self.caller = guard.check(client, area, safe=terms.safe, device=name)
            self.busy = True
            answer = act(*values)
        except PtcsError as why:
            entry("(private)" if terms.private else str(why))
            failed(why)
        except tango.DevFailed as why:
            entry("(private)" if terms.private else str(why.args[0].desc))
            raise
        except Exception:  # border of the process: the client gets a reason, the log the traceback
            log.exception("%s of %s failed", what, self.site.name)
            entry("internal error")
            tango.Except.throw_exception("Failed", _("internal error; see the log of this server"), what)
        finally:
            self.busy = False
            self.caller = None
            self.refresh()
        entry()
        return answer


def _as_devfailed(act: Method, values: tuple[Any, ...]) -> Any:
    try:
        return act(*values)
    except PtcsError as why:
        failed(why)


def _plain(value: Any) -> str:
    """A written value as text for the audit log."""
    return str(value.tolist() if hasattr(value, "tolist") else value)
