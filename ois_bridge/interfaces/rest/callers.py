"""Who calls, and with what means: dependencies of the endpoints."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from common.text import _
from ois_bridge.services import accounts, keys
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotLoggedIn

_bearer = HTTPBearer(auto_error=False, description="Token from POST /api/v1/login, or the key of a system")


async def context_of(request: Request) -> Context:
    """The means that the process put into the application."""
    return cast(Context, request.app.state.context)


Means = Annotated[Context, Depends(context_of)]


def caller_of(
    context: Means, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """The caller whom the bearer token or key names. Raises NotLoggedIn."""
    if credentials is None:
        raise NotLoggedIn(_("Please log in: an Authorization header with a bearer token is needed."))
    if credentials.credentials.startswith(keys.PREFIX):
        return keys.caller_of(context, credentials.credentials)
    return accounts.bearer(context, credentials.credentials)


By = Annotated[Caller, Depends(caller_of)]
