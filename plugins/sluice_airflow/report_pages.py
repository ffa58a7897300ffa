"""The pages of the reports: what is in the lake, for a user who may read the pipeline's training DAG."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response, status

from sluice.errors import MissingResource
from sluice_airflow.connection import open_lake
from sluice_airflow.errors import one_line

_HEADERS = {
    # A report has no script and loads nothing. Should data of the lake ever get into its code, it can do neither.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]*$")]
Number = Annotated[int, Path(ge=1)]

APPLICATION = FastAPI(openapi_url=None)


def may_read(pipeline: Name, request: Request, user: GetUserDep) -> None:
    """Require that the user may read the training DAG of the pipeline.

    Args:
        pipeline: The name of the pipeline.
        request: The request.
        user: Who is logged in.

    Raises:
        HTTPException: nobody is logged in, or the user may not.
    """
    requires_access_dag("GET", param_dag_id=f"{pipeline}_train")(request, user)


@APPLICATION.get("/{pipeline}/{number}", dependencies=[Depends(may_read)])
def report(pipeline: Name, number: Number) -> Response:
    """Return a report.

    Args:
        pipeline: The name of the pipeline.
        number: The number of the verdict.

    Raises:
        HTTPException: there is no such report, or the lake can't be read.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        lake = open_lake(pipeline)
        page = lake.read(lake.layout.report(number))
    except MissingResource as error:
        raise HTTPException(status.HTTP_404_NOT_FOUND, str(error)) from None
    except (BotoCoreError, ClientError) as error:
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, one_line(error)) from None
    if page is None:
        task = f"task report of {pipeline}_train"
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no report {number}; clear the {task} to write it")
    return Response(page, media_type="text/html; charset=utf-8", headers=_HEADERS)
