"""Rules that follow from the site: alarm levels of its devices, devices in FAULT, servers that are lost."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.site import Device, Site
from device_servers.registration import crate_name
from device_servers.services.alarms.attributes import LINKED, UP, ClassOf
from device_servers.services.alarms.expression import parse_truth
from device_servers.services.alarms.rule_file import delays, words
from device_servers.services.alarms.rules import Delays, Rule, Words, level_rule, truth_rule
from device_servers.services.alarms.severity import Severity, Status

Classes = Mapping[str, Mapping[str, Any]]
SERVER_DELAY_S = 3.0
"""A server that the supervisor starts anew is back before this."""
USUAL: Mapping[str, Any] = {
    "priority": 2,
    "hysteresis": 0.02,
    "delay": {"active": 0.0, "clear": 1.0, "unknown": 2.0},
    "latch": True,
    "states": ["FAULT"],
    "severity": "MAJOR",
}
"""Where neither the site's file nor its section `*` says otherwise. hysteresis: share of high - low."""


def rules(site: Site, class_of: ClassOf, classes: Classes) -> list[Rule]:
    """Every rule that follows from a site. Raises BadConfig for an inhibit that cannot be read."""
    found: list[Rule] = []
    for server in site.servers:
        found += _of_server(site, server, class_of)
    for device in site.devices:
        kind = class_of(device.tango_class)
        for attribute, shown in kind.channels.items():
            if shown.quantity in device.alarms:
                found += _of_levels(device, attribute, shown, classes)
        found += _of_state(device, classes, wired=bool(kind.channels))
    return found


def wired(site: Site, class_of: ClassOf) -> frozenset[str]:
    """Devices with values from hardware: UNKNOWN without their link."""
    return frozenset(device.name for device in site.devices if class_of(device.tango_class).channels)


def area_of(device: Device) -> str:
    """Where a device's alarms stand in the tree: its room, or its area, and its family."""
    return f"{device.room or device.area}/{device.name.split('/')[1]}"


def _section(classes: Classes, device: Device, part: str) -> dict[str, Any]:
    """What holds for a part of a device: the general sections, and the special ones over them."""
    merged: dict[str, Any] = dict(USUAL)
    for key in ("*", device.tango_class, f"{device.tango_class}.{part}"):
        section = dict(classes.get(key, {}))
        section["delay"] = {**merged["delay"], **section.get("delay", {})}
        merged |= section
    return merged


def _rest(device: Device, section: Mapping[str, Any], inhibit: str) -> dict[str, Any]:
    extra = section.get("inhibit", "").replace("{device}", device.name)
    inhibit = f"{inhibit} or ({extra})" if extra else inhibit
    return {
        "inhibit": parse_truth(inhibit),
        "inhibit_source": inhibit,
        "delays": delays(section),
        "latch": section["latch"],
        "group": section.get("group", device.room or device.area),
        "priority": section["priority"],
        "area": area_of(device),
    }


def _inhibit(device: Device, *, linked: bool) -> str:
    """A device that nobody counts on, or whose server or link is lost: that has an alarm of its own."""
    crate = crate_name(device.server).lower()
    terms = [f"{device.name}/AdminMode != ONLINE", f"{crate}/{UP} == 0"]
    return " or ".join([*terms, f"{crate}/{LINKED} == 0"] if linked else terms)


def _of_levels(device: Device, attribute: str, shown: Any, classes: Classes) -> Iterator[Rule]:
    section = _section(classes, device, shown.quantity)
    if section.get("skip"):
        return
    levels = device.alarms[shown.quantity]
    name, (lolo, low, high, hihi) = f"{device.name}/{attribute}", levels
    inhibit = f"{_inhibit(device, linked=True)} or unknown({device.name}/State)"
    guidance = words(section.get("guidance")) if "guidance" in section else GUIDANCE_LEVEL
    yield level_rule(
        name,
        name,
        (lolo, low, high, hihi),
        hysteresis=float(section["hysteresis"]) * (high - low),
        text=Words(f"{device.name} {attribute} beyond its limits", f"{device.name} {attribute} 超出限值"),
        guidance=guidance,
        **_rest(device, section, inhibit),
    )


def _of_state(device: Device, classes: Classes, *, wired: bool) -> Iterator[Rule]:
    section = _section(classes, device, "State")
    if section.get("skip"):
        return
    states = ", ".join(section["states"])
    guidance = words(section.get("guidance")) if "guidance" in section else GUIDANCE_STATE
    yield truth_rule(
        f"{device.name}/State",
        f"{device.name}/State in ({states})",
        Severity[section["severity"]],
        Status.STATE,
        text=Words(f"{device.name} is in {states}", f"{device.name} 处于 {states} 状态"),
        guidance=guidance,
        **_rest(device, section, _inhibit(device, linked=wired)),
    )


def _of_server(site: Site, server: str, class_of: ClassOf) -> Iterator[Rule]:
    crate = crate_name(server).lower()
    common: dict[str, Any] = {
        "delays": Delays(active=SERVER_DELAY_S),
        "area": f"servers/{server}",
        "group": "servers",
    }
    yield truth_rule(
        f"{crate}/lost",
        f"{crate}/{UP} == 0",
        Severity.MAJOR,
        Status.COMM,
        priority=1,
        text=Words(f"server {server} does not answer", f"服务器 {server} 无应答"),
        guidance=GUIDANCE_SERVER,
        **common,
    )
    if any(class_of(device.tango_class).channels for device in site.on_server(server)):
        inhibit = f"{crate}/{UP} == 0"
        yield truth_rule(
            f"{crate}/unlinked",
            f"{crate}/{LINKED} == 0",
            Severity.MAJOR,
            Status.LINK,
            priority=1,
            text=Words(f"no hardware of server {server} answers", f"服务器 {server} 的硬件均无应答"),
            guidance=GUIDANCE_LINK,
            inhibit=parse_truth(inhibit),
            inhibit_source=inhibit,
            **common,
        )


GUIDANCE_LEVEL = Words(
    "Compare the value with its trend and with its neighbours. If it is real, stop what drives it; if the "
    "sensor is wrong, set the device to MAINTENANCE and call service.",
    "与趋势及相邻设备的读数比较。若属实, 停止其来源; 若传感器有误, 将设备设为 MAINTENANCE 并通知维修。",
)
GUIDANCE_STATE = Words(
    "Read the Status of the device: it names the fault. Remove the cause, then send Reset. If it comes "
    "again, set the device to MAINTENANCE and call service.",
    "查看设备的 Status, 其中写明故障。排除原因后发送 Reset。若再出现, 设为 MAINTENANCE 并报修。",
)
GUIDANCE_SERVER = Words(
    "The supervisor starts a lost server again by itself. If it does not come back within 30 s, look at "
    "`ptcs status` and at the log of this server.",
    "监督程序会自动重启丢失的服务器。若 30 秒内未恢复, 请查看 `ptcs status` 和该服务器的日志。",
)
GUIDANCE_LINK = Words(
    "The server runs and none of its devices has its link: check the network and the power of the crate, or "
    "the process that simulates it.",
    "服务器在运行, 但其所有设备均无连接: 检查网络和机箱电源, 或模拟该硬件的进程。",
)
