"""The touch screen at which patients sign in: big keys, few words, both languages, masked names."""

import threading
from collections import defaultdict, deque
from time import monotonic

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import PtcsError, Refused
from common.text import translate
from ois_bridge.domain.queue.told import SignInRefused
from ois_bridge.domain.words import N_
from ois_bridge.services.queue import sign_in
from ois_bridge.services.queue.sign_in import Asked, SignedIn
from ois_bridge.web.queue.screen_access import COOKIE, ScreenForm, ScreenOf, remember
from ois_bridge.web.render import page
from ois_bridge.web.session import Means

router = APIRouter(include_in_schema=False)

MOST_FAILURES, WITHIN_S = 8, 60.0
SLOWLY = N_("Too many numbers were wrong. Please wait a minute, or ask at the front desk.")
NOT_NOW = N_("Signing in is not possible now. Please go to the front desk.")


class Failures:
    """Wrong numbers typed at each kiosk: nobody tries out numbers here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MOST_FAILURES))

    def too_many(self, key: str) -> bool:
        """Whether a kiosk must wait."""
        with self._lock:
            times = self._times[key]
            return len(times) == MOST_FAILURES and monotonic() - times[0] < WITHIN_S

    def count(self, key: str) -> None:
        """One more."""
        with self._lock:
            self._times[key].append(monotonic())


_failures = Failures()


@router.get("/kiosk")
def kiosk(request: Request, shown: ScreenOf) -> Response:
    """The page with the keys."""
    if shown.kind != "kiosk":
        return RedirectResponse("/screen", 303)
    answer = page(request, "queue/kiosk.html", shown=shown)
    remember(answer, request.cookies[COOKIE])
    return answer


@router.post("/kiosk/sign-in")
def sign_in_here(request: Request, context: Means, shown: ScreenOf, form: ScreenForm) -> HTMLResponse:
    """Sign in by a number that was typed or scanned."""
    if _failures.too_many(shown.key):
        return _said(request, {code: translate(SLOWLY, code) for code in ("zh", "en")})
    way = "barcode" if form.get("way") == "barcode" else "touch"
    device = shown.devices[0] if len(shown.devices) == 1 else ""
    code, wanted = form.get("code", ""), form.get("wanted", "")
    try:
        done = sign_in.by_code(context, shown.caller, code, way, device, wanted)
    except SignInRefused as why:
        _failures.count(shown.key)
        return _said(request, {code: why.told.said(code) for code in ("zh", "en")})
    except (PtcsError, OSError):
        return _said(request, {code: translate(NOT_NOW, code) for code in ("zh", "en")})
    return _done(request, done, {"code": code})


@router.post("/kiosk/face")
def sign_in_by_reader(request: Request, context: Means, shown: ScreenOf, form: ScreenForm) -> HTMLResponse:
    """Sign in by the face or fingerprint reader of this kiosk."""
    device = shown.devices[0] if len(shown.devices) == 1 else ""
    try:
        template = context.readers.read(device)
        done = sign_in.by_feature(context, shown.caller, template, device, form.get("wanted", ""))
    except SignInRefused as why:
        return _said(request, {code: why.told.said(code) for code in ("zh", "en")})
    except Refused as why:
        return _said(request, {code: str(why) for code in ("zh", "en")})
    except (PtcsError, OSError):
        return _said(request, {code: translate(NOT_NOW, code) for code in ("zh", "en")})
    return _done(request, done, {})


def _done(request: Request, done: SignedIn | Asked, again: dict[str, str]) -> HTMLResponse:
    asked = done if isinstance(done, Asked) else None
    signed = done if isinstance(done, SignedIn) else None
    action = "/kiosk/sign-in" if again else "/kiosk/face"
    return page(
        request, "queue/kiosk_said.html", asked=asked, signed=signed, said={}, again=again, action=action
    )


def _said(request: Request, said: dict[str, str]) -> HTMLResponse:
    return page(request, "queue/kiosk_said.html", asked=None, signed=None, said=said, again={}, action="")
