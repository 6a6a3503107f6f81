"""What stands before every request: who may reach us, how much they may send, in which language we answer,
and which headers every answer carries.
"""

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.text import LANGUAGES, _, set_language

MAX_BODY = 64 * 1024 * 1024
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "testserver"})
"""Names that a browser may know us by: another name that leads here is a rebinding attack."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class Borders:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._hosts = HOSTS | hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with the language set and the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        set_language(_wish(scope, headers))
        refusal = _refusal(scope, headers, self._hosts)
        static = scope["path"].startswith("/static/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                if scope["scheme"] == "https":
                    answer["Strict-Transport-Security"] = "max-age=31536000"
                answer["Cache-Control"] = "max-age=3600" if static else "no-store"
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)


def _refusal(scope: Scope, headers: Headers, hosts: frozenset[str]) -> JSONResponse | None:
    if headers.get("host", "").rsplit(":", 1)[0] not in hosts:
        why = _("Unknown host name. Use 127.0.0.1 or localhost, or the name that server.yaml gives.")
        return JSONResponse({"error": why}, 400)
    if scope["method"] in ("POST", "PUT", "PATCH"):
        length = headers.get("content-length", "")
        if not length.isdigit():
            return JSONResponse({"error": _("A Content-Length header is needed.")}, 411)
        if int(length) > MAX_BODY:
            most = MAX_BODY // 1024 // 1024
            return JSONResponse({"error": _("At most {n} MB are taken at once.").format(n=most)}, 413)
    return None


def _wish(scope: Scope, headers: Headers) -> str:
    """The language: ?lang=, then the cookie, then what the browser prefers, then English."""
    asked: str = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("lang", [""])[0]
    if asked in LANGUAGES:
        return asked
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get("ptcs_lang")
    except CookieError:
        cookie = None
    if cookie is not None and cookie.value in LANGUAGES:
        return str(cookie.value)
    return "zh" if headers.get("accept-language", "").lower().startswith("zh") else "en"
