"""The OIS's REST interface under schemathesis: no error of the server, no answer that is not described.

A real OIS process with a small synthetic department serves on a temporary state; a person of each of the
ROLES calls every operation of the OpenAPI description with its examples, with values at the edges of its
schemas, and with random ones. The judge is installed into .venv-peers/schemathesis, apart from what the house
needs. What the judge prints is printed; then one JSON line with the exit statuses (0: nothing found).
`python -m benchmarks.fuzz_department [EXAMPLES [ROLE ...]]`: random requests an operation (3).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks.bench_department_worklist import ois
from benchmarks.department_fill import fill
from common.files import read_json

ROOT = Path(__file__).parent.parent
TOOL = ROOT / ".venv-peers" / "schemathesis"
VERSION = "4.32.0"
PATIENTS = 200
ROLES = ("physician", "receptionist", "admin")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)


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


def judged(program: Path, url: str, bearer: str, examples: int, folder: Path) -> int:
    """Exit status of the judge. Its requests stay on this computer."""
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
    roles = sys.argv[2:] or ROLES
    program = installed()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        path = state / "ois" / "ois.db"
        path.parent.mkdir(parents=True, mode=0o700)
        fill(path, PATIENTS)
        with ois(state) as url:
            found = {
                role: judged(program, url, token(url, state, role), examples, Path(folder)) for role in roles
            }
            errors = (state / "ois.log").read_text().count("Traceback")
    print(json.dumps({"name": "fuzz-department", "examples": examples, "found": found, "tracebacks": errors}))
    return max(found.values()) or errors


if __name__ == "__main__":
    sys.exit(main())
