"""`./run trace`: requirement row -> tests that prove it, from the markers in the test files."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ROWS = REPOSITORY.parent / "shared" / "requirements.yaml"


def marked_tests() -> dict[str, list[str]]:
    """Requirement id -> names of the tests that carry it, as FILE::TEST."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        whole_file = [
            row
            for node in tree.body
            if isinstance(node, ast.Assign)
            and any(getattr(t, "id", "") == "pytestmark" for t in node.targets)
            for row in _rows(node.value)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                rows = [row for mark in node.decorator_list for row in _rows(mark)]
                for row in dict.fromkeys(rows + whole_file):
                    found[row].append(f"{path.relative_to(REPOSITORY)}::{node.name}")
    return dict(found)


def _rows(node: ast.AST) -> list[str]:
    return [
        str(argument.value)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "requirement"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def known_rows() -> list[str]:
    """All requirement ids, in file order; empty where the file is absent."""
    if not ROWS.exists():
        return []
    groups = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    return [row["id"] for group in groups.values() for row in group]


def main() -> int:
    """Print the table; rows without a test are shown as such."""
    tests = marked_tests()
    for row in known_rows() or sorted(tests):
        print(f"{row:20} {len(tests.get(row, []))} tests")
        for test in tests.get(row, []):
            print(f"    {test}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
