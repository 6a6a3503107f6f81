"""The OIS's REST interface under schemathesis: no error of the server, no answer that is not described.

A real OIS process with a seeded department serves on a temporary state; a person of each of the ROLES calls
every operation of the OpenAPI description with its examples, with values at the edges of its schemas, and
with random ones: once with whatever keys the judge thinks of, once with keys of what is there (an open task,
a booked visit, a form ...). The judge is installed into .venv-peers/schemathesis, apart from what the house
needs. What it prints is printed; then one JSON line with the exit statuses (0: nothing found).
`python -m benchmarks.fuzz_department [EXAMPLES [ROLE ...]]`: random requests an operation (3).
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks.bench_department_worklist import ois
from common.files import read_json
from common.state import StateDir
from ptcs import department_command

ROOT = Path(__file__).parent.parent
TOOL = ROOT / ".venv-peers" / "schemathesis"
VERSION = "4.32.0"
PATIENTS = 24
ROLES = ("physician", "receptionist", "admin", "therapist", "physicist")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)

ONE_OF_EACH = {
    "patient_id": "SELECT patient_id FROM patient JOIN course ON patient_key = patient.key LIMIT 1 OFFSET 3",
    "course_id": "SELECT course_key FROM task WHERE state = 'TO_DO' LIMIT 1",
    "task_id": "SELECT key FROM task WHERE state = 'TO_DO' LIMIT 1 OFFSET 1",
    "process_id": "SELECT process_key FROM task WHERE state = 'TO_DO' LIMIT 1",
    "form_id": "SELECT key FROM form_record LIMIT 1",
    "appointment_id": "SELECT key FROM appointment WHERE state = 'BOOKED' LIMIT 1",
    "device": "SELECT device FROM appointment WHERE state = 'BOOKED' LIMIT 1",
    "prescription_id": "SELECT key FROM prescription LIMIT 1",
    "follow_up_id": "SELECT key FROM follow_up LIMIT 1",
    "sop_uid": "SELECT sop_uid FROM plan LIMIT 1",
    "report_id": "SELECT key FROM report LIMIT 1",
}
"""Name of a key in the interface's paths -> one of the seeded department."""
NO_FACILITY = """
[[operations]]
include-path-regex = "/archive"
checks.not_a_server_error.expected-statuses = ["2XX", "4XX", "503"]
"""
"""Beside no facility, 503 is the answer of the archive's operations that the description gives."""


def installed() -> Path:
    """The judge's program."""
    program = TOOL / "bin" / "schemathesis"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOL)], check=True)
        pip = [str(TOOL / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, f"schemathesis=={VERSION}"], check=True)
    return program


def token(url: str, state: Path, user: str) -> str:
    """Of a demonstration account."""
    password = read_json(state / "keys" / "demo-accounts.json")[user]
    asked = {"user": user, "password": password}
    answer = httpx.post(f"{url}/api/v1/login", json=asked, trust_env=False, timeout=60)
    return str(answer.raise_for_status().json()["token"])


def known(state: Path) -> str:
    """The judge's settings that name one of each that the department has."""
    there = sqlite3.connect(state / "ois" / "ois.db")
    rows = {name: there.execute(query).fetchone() for name, query in ONE_OF_EACH.items()}
    there.close()
    return "".join(f'"path.{name}" = "{row[0]}"\n' for name, row in rows.items() if row)


def judged(program: Path, url: str, bearer: str, examples: int, folder: Path, names: str) -> int:
    """Exit status of the judge. Its requests stay on this computer."""
    (folder / "schemathesis.toml").write_text(f"[parameters]\n{names}{NO_FACILITY}")
    headers = {"Authorization": f"Bearer {bearer}"}
    told = httpx.get(f"{url}/api/v1/openapi.json", headers=headers, trust_env=False, timeout=60)
    description = folder / "openapi.json"
    description.write_bytes(told.raise_for_status().content)
    command = [
        str(program), "run", str(description), "--url", url, "-H", f"Authorization: Bearer {bearer}",
        "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples),
        "--seed", "1", "--continue-on-failure", "--request-timeout", "60", "--no-color",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, check=False).returncode


def main() -> int:
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    program = installed()
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, state = Path(temporary), Path(temporary) / "state"
        state.mkdir()
        with ois(state) as url:
            department_command.fill(StateDir(state), PATIENTS)
            for role in sys.argv[2:] or ROLES:
                bearer = token(url, state, role)
                for keys, names in (("any", ""), ("known", known(state))):
                    found[f"{role}, {keys}"] = judged(program, url, bearer, examples, folder, names)
            errors = (state / "ois.log").read_text().count("Traceback")
    print(json.dumps({"name": "fuzz-department", "examples": examples, "found": found, "tracebacks": errors}))
    return max(found.values(), default=0) or min(errors, 1)


if __name__ == "__main__":
    sys.exit(main())
