"""Messages to patients and staff over the gateways that `messages.yaml` names: an SMS gateway and WeChat.

Both are interfaces to services outside: the receiver's own rules (approved templates, signatures) apply.
The file is read again when it changes; a channel that it does not name refuses its messages.
"""

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx

from common.errors import BadConfig, LinkLost
from common.yaml_file import load_checked
from ois_bridge.domain.words import N_
from ois_bridge.services.errors import ReceiverAway, ReceiverRefuses
from ois_bridge.services.ports import Message

TIMEOUT_S = 5.0
_PLACE = re.compile(r"\{[a-z]+\}")
TRY_AGAIN = frozenset({408, 425, 429})
"""HTTP statuses below 500 that say: later."""

TOKEN_OVER = frozenset({40001, 40014, 42001})
NOT_NOW = frozenset({-1, 45009, 45011})
"""WeChat's errcode: the access token is over; the system is busy or the rate too high."""


class Gateway(Protocol):
    """One channel's way out."""

    def send(self, message: Message) -> None:
        """Return when the receiver has it. Raises LinkLost, Refused."""
        ...


class SmsGateway:
    """POST of a JSON body made from a template, with a bearer key and the message's key as Idempotency-Key.

    `body`: field -> text in which {recipient}, {content}, {id} and {kind} are put in.
    """

    def __init__(self, client: httpx.Client, url: str, key: str, body: Mapping[str, str]) -> None:
        self._client, self._url, self._key, self._body = client, url, key, body

    def send(self, message: Message) -> None:
        """One text message. Raises LinkLost, Refused."""
        places = {
            "{recipient}": message.recipient,
            "{content}": message.content,
            "{id}": message.key,
            "{kind}": message.kind,
        }
        body = {name: _filled(text, places) for name, text in self._body.items()}
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": message.key}
        _answer(lambda: self._client.post(self._url, json=body, headers=headers))


class WeChat:
    """Template messages of an official account: developers.weixin.qq.com, template/send.

    `templates`: kind of message -> {id, field}; the kind `default` stands for those that are not named.
    `client_msg_id` keeps WeChat from delivering a repetition.
    """

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        app_id: str,
        key: str,
        templates: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._client, self._url, self._templates = client, url.rstrip("/"), templates
        self._login = {"grant_type": "client_credential", "appid": app_id, "secret": key}
        self._token = ""

    def send(self, message: Message) -> None:
        """One template message. Raises LinkLost, Refused."""
        template = self._templates.get(message.kind) or self._templates.get("default")
        if template is None:
            raise ReceiverRefuses(N_("No WeChat template is configured for messages of this kind."))
        body = {
            "touser": message.recipient,
            "template_id": template["id"],
            "client_msg_id": message.key,
            "data": {template["field"]: {"value": message.content}},
        }
        code = self._post(body)
        if code in TOKEN_OVER:
            self._token = ""
            code = self._post(body)
        if code in NOT_NOW or code in TOKEN_OVER:
            raise ReceiverAway(N_("WeChat cannot take the message now (errcode {code})."), code=code)
        if code != 0:
            raise ReceiverRefuses(N_("WeChat does not take the message (errcode {code})."), code=code)

    def _post(self, body: Mapping[str, Any]) -> int:
        if not self._token:
            answer = _answer(lambda: self._client.get(f"{self._url}/cgi-bin/token", params=self._login))
            token = answer.get("access_token")
            if not isinstance(token, str):
                code = answer.get("errcode", "?")
                raise ReceiverAway(N_("WeChat gives no access token (errcode {code})."), code=str(code))
            self._token = token
        address = f"{self._url}/cgi-bin/message/template/send"
        query = {"access_token": self._token}
        answer = _answer(lambda: self._client.post(address, params=query, json=body))
        code = answer.get("errcode")
        return code if isinstance(code, int) else -1


class Gateways:
    """The channels of a configuration file; one that is absent configures none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read = -1.0
        self._channels: Mapping[str, Gateway] = {}
        # trust_env=False: what goes to a gateway goes nowhere else
        self._client = httpx.Client(timeout=TIMEOUT_S, trust_env=False)

    def send(self, message: Message) -> None:
        """Send by the message's channel. Raises LinkLost, Refused for a channel without a gateway."""
        with self._lock:
            self._refresh()
            gateway = self._channels.get(message.channel)
        if gateway is None:
            raise ReceiverRefuses(
                N_("No gateway is configured for the channel {channel}: name it in {file}."),
                channel=message.channel,
                file=self._path.name,
            )
        gateway.send(message)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _refresh(self) -> None:
        changed = self._path.stat().st_mtime if self._path.exists() else 0.0
        if changed == self._read:
            return
        try:
            self._channels = _channels(self._client, load_checked(self._path, "messages")) if changed else {}
        except BadConfig as why:
            raise LinkLost(str(why)) from why
        self._read = changed


def _channels(client: httpx.Client, content: Mapping[str, Any]) -> dict[str, Gateway]:
    channels: dict[str, Gateway] = {}
    if sms := content.get("sms"):
        channels["sms"] = SmsGateway(client, sms["url"], sms["key"], sms["body"])
    if wechat := content.get("wechat"):
        channels["wechat"] = WeChat(
            client, wechat["url"], wechat["app_id"], wechat["key"], wechat["templates"]
        )
    return channels


def _filled(text: str, places: Mapping[str, str]) -> str:
    """All places at once: what is put in is not looked through again."""
    return _PLACE.sub(lambda found: places.get(found[0], found[0]), text)


def _answer(call: Callable[[], httpx.Response]) -> dict[str, Any]:
    """The JSON answer. Errors name no address: it may hold a secret."""
    try:
        answer = call()
    except httpx.HTTPError as why:
        raise ReceiverAway(N_("The gateway does not answer ({why})."), why=type(why).__name__) from None
    if answer.is_server_error or answer.status_code in TRY_AGAIN:
        raise ReceiverAway(N_("The gateway cannot take it now (HTTP {code})."), code=answer.status_code)
    if not answer.is_success:
        raise ReceiverRefuses(N_("The gateway does not take it (HTTP {code})."), code=answer.status_code)
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
