"""The emulator's process: ministack with all patches, set up by ministack's own environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from ministack import app

from localcloud.emulator import alarms, long_polls, object_files, queues, stack_resources, streams, used_services
from localcloud.emulator.durability import saving
from localcloud.emulator.ecs import api as ecs
from localcloud.emulator.service_quotas import ServiceQuotas
from localcloud.emulator.used_services import UsedPathsOnly
from localcloud.images import SETTING, parse
from localcloud.request_guard import RequestGuard
from localcloud.settings import endpoint_variables


def main() -> None:
    """Patch the emulator, and run it until it is stopped."""
    queues.install()
    long_polls.install()
    streams.install()
    alarms.install()
    object_files.install(Path(os.environ["S3_DATA_DIR"]))
    stack_resources.install()
    state = Path(os.environ["STATE_DIR"])
    variables = endpoint_variables(int(os.environ["GATEWAY_PORT"]), int(os.environ["LOCALCLOUD_SAGEMAKER_PORT"]))
    containers = ecs.install(parse(os.environ[SETTING]), state.parent / "tasks", variables)
    used_services.turn_off_unused()
    saving.install(state)
    app.app = RequestGuard(ServiceQuotas(containers.before(UsedPathsOnly(app.app))))
    app.main()


if __name__ == "__main__":
    main()
