"""The yardstick of InvokeEndpoint: an application that reads CSV, predicts and no more.

``python -m tests.benchmarks.serving_bare MODEL PORT``, in the embedded cloud's environment.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import uvicorn
import xgboost
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def app(model: Path) -> Starlette:
    booster = xgboost.Booster()
    booster.load_model(bytearray(model.read_bytes()))
    booster.set_param("nthread", "1")  # as the container sets it

    async def invocations(request: Request) -> Response:
        rows = np.loadtxt(io.BytesIO(await request.body()), delimiter=",", dtype=np.float32, ndmin=2)
        scores = booster.inplace_predict(rows, validate_features=False).tolist()
        return Response("".join(f"{score}\n" for score in scores), media_type="text/csv")

    return Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(
        app(Path(sys.argv[1])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
