"""The hospital's charging service over HTTP: GET URL/charging?patient_id=&course= gives {state, detail}."""

from common.errors import BadInput
from common.links.http import JsonClient
from ois_bridge.services.record_means import Charging

TIMEOUT_S = 2.0
STATES = frozenset({"paid", "unpaid", "partly paid", "insured", "refunded"})


class HttpCharging:
    """The service at an address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def state(self, patient_id: str, course_key: str) -> Charging:
        """Raises LinkLost when it does not answer, BadInput when its answer cannot be used."""
        with JsonClient(self._url, timeout_s=TIMEOUT_S) as client:
            answer = client.get("/charging", patient_id=patient_id, course=course_key)
        if not isinstance(answer, dict) or answer.get("state") not in STATES:
            raise BadInput("the charging service answers something that cannot be understood")
        return Charging(str(answer["state"]), str(answer.get("detail", ""))[:200])
