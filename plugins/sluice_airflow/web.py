"""What Sluice adds to the API server: it answers under its own host names only, and a link logs in.

Nothing heavy is imported at the top: every component of Airflow loads the plugin, but only the API server calls this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.configuration import conf

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

LOGIN_PATH = "/sluice/login"

# The password is in the URL's fragment, so that no log has it and no other page can send it.
_LOGIN_PAGE = """<!doctype html><title>Logging in</title><script>
fetch("", {method: "POST", body: location.hash.slice(1)})
  .then((answer) => location.replace(answer.ok ? "../../" : "../../auth/login"));
</script>"""


def own_hosts_only(app: ASGIApp) -> ASGIApp:
    """Wrap the API server so that it refuses requests for any other host name, as an attack by DNS rebinding uses."""
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    return TrustedHostMiddleware(app, allowed_hosts=own_hosts(), www_redirect=False)


def own_hosts() -> list[str]:
    """Return the host names of this API server: those in Airflow's settings, and loopback."""
    urls = (conf.get("api", "base_url", fallback=""), conf.get("core", "execution_api_server_url", fallback=""))
    named = {urlsplit(url).hostname for url in urls}
    return sorted({"127.0.0.1", "localhost", *filter(None, named)})


async def login_by_link(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Serve the link that `make up` prints, as an ASGI application.

    Args:
        scope: The request, as ASGI describes it.
        receive: Returns the next event of the request.
        send: Sends an event of the response.
    """
    await _login_application()(scope, receive, send)


@cache
def _login_application() -> ASGIApp:
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route("/", _login_page), Route("/", _log_in, methods=["POST"])])


async def _login_page(_request: Request) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(_LOGIN_PAGE, headers={"Cache-Control": "no-store"})


async def _log_in(request: Request) -> Response:
    """Set the session's cookie, as Airflow's own login page does, if the body is the user's password."""
    from airflow.api_fastapi.app import get_cookie_path
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
    from airflow.api_fastapi.auth.managers.simple.datamodels.login import LoginBody
    from airflow.api_fastapi.auth.managers.simple.services.login import SimpleAuthManagerLogin
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from starlette.responses import Response

    password = (await request.body()).decode(errors="replace")
    user = SimpleAuthManager.get_users()[0]
    token = SimpleAuthManagerLogin.create_token(LoginBody(username=user.username, password=password))
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE_NAME_JWT_TOKEN, token, path=get_cookie_path(), httponly=True, samesite="lax", secure=secure
    )
    return response
