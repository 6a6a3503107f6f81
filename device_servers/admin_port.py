"""The admin device of a server process: what it can do without a log-in is taken away.

Tango gives every server a device `dserver/...` that ends the process, restarts its devices, writes logs to
any path, polls and locks, for everybody who can reach the port, before any code of ours runs. So these
commands are removed when the server starts. Clients need none of them for reading, writing or events; the
supervisor starts and stops processes.
"""

import logging
from typing import Any

import tango

log = logging.getLogger(__name__)

KEPT = frozenset(
    {
        "DevLockStatus",
        "DevPollStatus",
        "EventConfirmSubscription",
        "EventSubscriptionChange",
        "GetLoggingLevel",
        "GetLoggingTarget",
        "GetTelemetryLogging",
        "GetTelemetryLoggingEndpoints",
        "GetTelemetryTopics",
        "GetTelemetryTracing",
        "GetTelemetryTracingEndpoints",
        "IsTelemetryEnabled",
        "PolledDevice",
        "QueryClass",
        "QueryDevice",
        "QueryEventSystem",
        "QuerySubDevice",
        "QueryWizardClassProperty",
        "QueryWizardDevProperty",
        "State",
        "Status",
        "ZmqEventSubscriptionChange",
    }
)
"""Commands of the admin device that answer, or subscribe; all others are removed."""

CLOSED = (
    "AddLoggingTarget",
    "AddObjPolling",
    "AddTelemetryLoggingEndpoints",
    "AddTelemetryTracingEndpoints",
    "DevRestart",
    "EnableEventSystemPerfMon",
    "Init",
    "Kill",
    "LockDevice",
    "ReLockDevices",
    "RemObjPolling",
    "RemoveLoggingTarget",
    "RemoveTelemetryLoggingEndpoints",
    "RemoveTelemetryTracingEndpoints",
    "RestartServer",
    "SetLoggingLevel",
    "SetTelemetryLogging",
    "SetTelemetryLoggingEndpoints",
    "SetTelemetryTopics",
    "SetTelemetryTracing",
    "SetTelemetryTracingEndpoints",
    "StartLogging",
    "StartPolling",
    "StartTelemetry",
    "StopLogging",
    "StopPolling",
    "StopTelemetry",
    "UnLockDevice",
    "UpdObjPollingPeriod",
)
"""What is removed, in Tango 10; a release without one of them has nothing to remove."""


def close_admin_port() -> None:
    """Remove what changes something from this process's admin device. Call once, when the server is up."""
    admin: Any = tango.Util.instance().get_dserver_device()
    for name in CLOSED:
        try:
            admin.remove_command(name, clean_db=False)
        except tango.DevFailed as why:
            log.debug("admin device has no %s: %s", name, why.args[0].desc)
