"""Face and fingerprint readers over HTTP, an interface: GET answers {"template": ID}, DELETE ?template=ID
forgets one.
"""

from pathlib import Path

import httpx

from common.errors import LinkLost, Refused
from common.text import _
from common.yaml_file import load_checked

TIMEOUT_S = 3.0


class HttpReaders:
    """The readers that `readers.yaml` names, by device; `any` stands for those that are not named."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, device: str) -> str:
        """The template of who stands there; empty for nobody. Raises LinkLost, Refused, BadConfig."""
        readers = self._readers()
        address = readers.get(device) or readers.get("any")
        if address is None:
            raise Refused(_("No face or fingerprint reader is configured here."))
        try:
            # trust_env=False: a proxy of the surroundings must not see who stands where
            answer = httpx.get(address, timeout=TIMEOUT_S, trust_env=False)
            content = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as why:
            raise LinkLost(_("The reader does not answer ({why}).").format(why=type(why).__name__)) from None
        template = content.get("template", "") if isinstance(content, dict) else ""
        return template if isinstance(template, str) and len(template) <= 120 else ""

    def forget(self, template: str) -> int:
        """Have every reader delete a template; returns how many did. Raises LinkLost, BadConfig."""
        addresses = sorted(set(self._readers().values()))
        for address in addresses:
            try:
                answer = httpx.delete(
                    address, params={"template": template}, timeout=TIMEOUT_S, trust_env=False
                )
                answer.raise_for_status()
            except httpx.HTTPError as why:
                raise LinkLost(
                    _("The reader does not answer ({why}).").format(why=type(why).__name__)
                ) from None
        return len(addresses)

    def _readers(self) -> dict[str, str]:
        return dict(load_checked(self._path, "readers")["readers"]) if self._path.exists() else {}
