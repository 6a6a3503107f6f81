"""YAML files of `config/`: read with line numbers, checked by a JSON schema, refused with line and reason."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import jsonschema
import yaml

from common.errors import BadConfig

CONFIG = Path(__file__).resolve().parent.parent / "config"
NESTING = 60
"""No file of a site nests deeper; a parser that recurses without end is no error message."""
PARTS = 1_000_000
"""Most scalars and collections of a file, aliases counted as what they stand for."""


class _Loader(yaml.CSafeLoader):
    """The safe loader, which refuses a key given twice: plain YAML would silently keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping. Raises yaml.YAMLError for a key given twice."""
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            seen = set()
            for key, _value in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} given twice", key.start_mark
                    )
                seen.add(key.value)
        return mapping


def _finite(loader: _Loader, node: yaml.ScalarNode) -> float:
    """A number. Infinity and NaN pass every limit of a schema, so no file may hold them."""
    value = float(loader.construct_yaml_float(node))
    if not math.isfinite(value):
        raise yaml.constructor.ConstructorError(None, None, "numbers must be finite", node.start_mark)
    return value


_Loader.add_constructor("tag:yaml.org,2002:float", _finite)


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: its content, and where each part of it stands."""

    path: Path
    content: Any
    _root: yaml.Node

    def line(self, place: Sequence[str | int] = ()) -> int:
        """Line (from 1) of the part at `place` (keys, indices), or of the last one on the way that exists."""
        node = self._root
        for step in place:
            child = _child(node, step)
            if child is None:
                break
            node = child
        return int(node.start_mark.line) + 1

    def bad(self, why: str, place: Sequence[str | int] = ()) -> BadConfig:
        """The error to raise about the part at `place`."""
        return BadConfig(f"{self.path.name} line {self.line(place)}: {why}")

    def require(self, schema: str, definition: str = "") -> None:
        """Check the content by `config/schema/SCHEMA.schema.json`, or by one of its `$defs`.

        Raises BadConfig naming line, place and what is allowed there.
        """
        validator = _validator(schema)
        if definition:
            validator = validator.evolve(schema={"$ref": f"#/$defs/{definition}"})
        error = jsonschema.exceptions.best_match(validator.iter_errors(self.content))
        if error is not None:
            raise self.bad(f"at {error.json_path}: {_reason(error)}", list(error.absolute_path))


def read(path: Path) -> YamlFile:
    """Parse a file. Raises BadConfig with line and reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise BadConfig(f"cannot read {path}: {why}") from why
    loader = None
    try:
        _refuse_bombs(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise BadConfig(f"cannot read {path.name} line 1: the file is empty")
        return YamlFile(path, loader.construct_document(root), root)
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise BadConfig(f"cannot read {path.name}{line}: {why.problem or why.context}") from why
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as why:
        raise BadConfig(f"cannot read {path.name}: {why}") from why
    finally:
        if loader is not None:
            loader.dispose()


def load_checked(path: Path, schema_name: str) -> dict[str, Any]:
    """The content of a YAML file that satisfies `config/schema/SCHEMA_NAME.schema.json`.

    Raises BadConfig naming line, place and what is allowed there.
    """
    file = read(path)
    file.require(schema_name)
    return dict(file.content)


def _refuse_bombs(text: str) -> None:
    """Raise yaml.YAMLError for what would crash or stall the composer: depth, and aliases that never end.

    The parser's events come without recursion; the composer recurses in C, where depth ends the process.
    """
    sizes: dict[str, int] = {}
    open_parts: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            open_parts.append((anchor, 1))
            if len(open_parts) > NESTING:
                raise _marked(f"nested deeper than {NESTING}", event)
            continue
        size = 1
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_parts.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise _marked(f"alias {anchor} stands for nothing, or for what it is in", event)
            size, anchor = sizes[anchor], None
        if anchor is not None:
            sizes[anchor] = size
        outer, count = open_parts.pop()
        open_parts.append((outer, count + size))
        if count + size > PARTS:
            raise _marked(f"more than {PARTS} parts", event)


def _marked(why: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=cast("yaml.Mark | None", event.start_mark))


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


def _reason(error: jsonschema.exceptions.ValidationError) -> str:
    if (
        error.validator == "type"
        and error.validator_value in ("number", "integer")
        and "e" in str(error.instance)
    ):
        return f"{error.message} (in YAML a number with an exponent needs a point and a sign: 1.0e-7)"
    return str(error.message)


@cache
def _validator(name: str) -> Any:
    path = CONFIG / "schema" / f"{name}.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
