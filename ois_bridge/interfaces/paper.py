"""The templates of everything that is printed."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from ois_bridge.domain.identity import readable_date, readable_name

PAGES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """A new environment of the printed templates: what is not given is an error, not a blank."""
    made = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({"born": readable_date, "name": _name})
    return made


@pass_context
def _name(page: Context, name: str) -> str:
    """A person's name as the reader of the paper writes it."""
    return readable_name(name, chinese=page.get("lang") == "zh-CN")
