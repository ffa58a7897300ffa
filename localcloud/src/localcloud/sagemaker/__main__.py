"""The stand-in's process: ``python -m localcloud.sagemaker --state DIR --port N --aws-endpoint URL``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn

from localcloud.sagemaker.api.http import BoundedHttp
from localcloud.sagemaker.app import create_app
from localcloud.settings import HOST

# A client reuses its connections. A request that it sends just as one is closed fails, so they are closed late.
_IDLE_SECONDS = 75
_GRACE_SECONDS = 5  # for requests under way when the process has to end


def main(arguments: list[str]) -> None:
    """Run the stand-in until it is stopped."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.sagemaker", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--aws-endpoint", required=True)
    options = parser.parse_args(arguments)
    app = create_app(options.state, options.aws_endpoint)
    uvicorn.run(
        app,
        host=HOST,
        port=options.port,
        # Both are compiled: a small invocation spends most of its time on HTTP.
        loop="uvloop",
        http=BoundedHttp,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
