"""Writes that a gateway passes on: the user's own token decides, as if the user had written here.

The write itself is a Tango call of this process to its own device, so that Tango checks limits, types
and enum labels as it does for every client. It runs under the device's monitor: nobody else's call
can meet the user's session there.
"""

import json
import math
from typing import Any

import tango

from common.errors import Refused
from common.text import _
from device_servers.access import Rule
from device_servers.callers import Client
from device_servers.context import Context
from device_servers.parse import json_object, text_field

LONGEST_BY = 120
"""Longest text, in characters, that names the peer in the audit log."""


def write_as(context: Context, client: Client, text: str) -> Any:
    """Do what JSON {"token", "device", "attribute" or "command", "value", "by"} says; a command's answer.

    client: the process that passes it on. Raises Unauthorised for a token that the OIS did not sign,
    Refused for what does not exist or cannot be written, tango.DevFailed for what the device refuses.
    """
    wish = json_object(text)
    device = context.devices.get(text_field(wish, "device").lower())
    if device is None or not hasattr(device, "channels") or device.site.tango_class == "Crate":
        raise Refused(_("no device {device} on this server").format(device=wish["device"]))
    by = text_field(wish, "by")[:LONGEST_BY]
    session = context.guard.vouched(client, text_field(wish, "token"), by)
    act = _action(device, wish)
    with tango.AutoTangoMonitor(device):
        device.acting = session
        try:
            return act()
        except tango.DevFailed as why:
            if why.args[0].reason.startswith("API_"):  # by Tango itself: the device has recorded nothing
                what = str(wish.get("attribute", wish.get("command")))
                context.guard.record(
                    client, device.site.name, what, str(wish.get("value")), why.args[0].desc, session=session
                )
            raise
        except (TypeError, ValueError, OverflowError) as why:
            raise Refused(_("the value does not fit ({why})").format(why=why)) from why
        finally:
            device.acting = None


def _action(device: Any, wish: dict[str, Any]) -> Any:
    """The call to make. Raises Refused unless it is a guarded write or command of the device."""
    value = wish.get("value")
    _require_finite(value)
    proxy = tango.DeviceProxy(device.get_name())
    if "command" in wish:
        name = text_field(wish, "command")
        rule = getattr(getattr(type(device), name, None), "write_rule", None)
        if name not in device.get_device_class().cmd_list or not isinstance(rule, Rule) or rule.read:
            raise Refused(
                _("{device} has no command {name} that writes").format(device=device.site.name, name=name)
            )
        return lambda: proxy.command_inout(name, *([] if value is None else [value]))
    name = text_field(wish, "attribute")
    return lambda: proxy.write_attribute(name, value)


def _require_finite(value: Any) -> None:
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
        raise Refused(_("the value is not a finite number"))


def answer(value: Any) -> str:
    """A command's answer as JSON."""
    return json.dumps(value.tolist() if hasattr(value, "tolist") else value, default=str)
