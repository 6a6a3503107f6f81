"""JSON arguments of commands."""

import json
import math
from typing import Any

from common.errors import Refused
from common.text import _


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a command's argument. Raises Refused for anything else."""
    try:
        value = json.loads(text)
    except ValueError as why:
        raise Refused(_("argument is not JSON ({why})").format(why=why)) from why
    if not isinstance(value, dict):
        raise Refused(_('argument must be a JSON object such as {"name": value}'))
    return value


def text_field(values: dict[str, Any], key: str) -> str:
    """A non-empty text of an object. Raises Refused."""
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise Refused(_("{key!r} is missing: it must be a text").format(key=key))
    return value


def number_field(values: dict[str, Any], key: str) -> float:
    """A finite number of an object. Raises Refused."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(_("{key!r} is missing: it must be a finite number").format(key=key))
    return float(value)
