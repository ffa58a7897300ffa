"""The HTTP application."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def create_app() -> Starlette:
    return Starlette(routes=[Route("/ping", _ping)])


async def _ping(_request: Request) -> Response:
    return Response()
