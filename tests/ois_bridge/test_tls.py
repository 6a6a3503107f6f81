"""The address for other computers: TLS only, under its own name only."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.ois_bridge.conftest import Ois, launch

pytestmark = pytest.mark.requirement("SYS-ACCESS")
NAME = "localhost"


def certificate(folder: Path) -> Path:
    """A self-signed certificate of NAME."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"]
    files = ["-keyout", str(folder / "web.key"), "-out", str(folder / "web.crt")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return folder / "web.crt"


def settings(folder: Path, **changes: str) -> None:
    lines = {"host": NAME, "port": "0", "certificate": "web.crt", "key": "web.key", **changes}
    path = folder / "server.yaml"
    database = path.read_text() if path.exists() else ""
    path.write_text(database + "public:\n" + "".join(f"  {name}: {value}\n" for name, value in lines.items()))


def test_other_computers_get_tls_and_secure_cookies(
    make_ois: Callable[..., Ois], tmp_path: Path, place: Callable[[Path], None]
) -> None:
    folder = tmp_path / "state" / "ois"
    place(tmp_path / "state")
    trusted = certificate(folder)
    settings(folder)
    ois = make_ois()
    url = f"https://{NAME}:{ois.endpoint['public_port']}"
    context = ssl.create_default_context(cafile=str(trusted))
    with httpx.Client(base_url=url, verify=context, trust_env=False, timeout=30) as client:
        answer = client.get("/login")
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        assert "Secure" in answer.headers["set-cookie"]
        assert client.get("/login", headers={"Host": "elsewhere.example"}).status_code == 400
    with pytest.raises(httpx.HTTPError), httpx.Client(trust_env=False, timeout=30) as plain:
        plain.get(url.replace("https", "http") + "/login")
    with httpx.Client(base_url=ois.url, trust_env=False, timeout=30) as client:
        assert "strict-transport-security" not in client.get("/login").headers
    assert ois.stop() == 0


def test_missing_certificate_is_a_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "ois"
    folder.mkdir()
    settings(folder)
    assert launch(tmp_path).wait(60) == 2
    assert "there is no file" in (tmp_path / "ois.log").read_text()
