"""The emulator's process: ministack with all patches, set up by ministack's own environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from ministack import app

from localcloud import images
from localcloud.emulator import (
    alarms,
    long_polls,
    object_files,
    queues,
    serving,
    stack_resources,
    streams,
    subscriptions,
    used_services,
)
from localcloud.emulator.clients import clients
from localcloud.emulator.durability import saving
from localcloud.emulator.ecs import api as ecs
from localcloud.emulator.functions import installation as functions
from localcloud.emulator.functions.request_ids import InvocationIds
from localcloud.emulator.schedules import firing
from localcloud.emulator.service_quotas import ServiceQuotas
from localcloud.emulator.state_machines import executions
from localcloud.emulator.used_services import UsedPathsOnly
from localcloud.request_guard import RequestGuard
from localcloud.settings import endpoint_variables


def main() -> None:
    """Patch the emulator, and run it until it is stopped."""
    queues.install()
    long_polls.install()
    streams.install()
    subscriptions.install()
    alarms.install()
    object_files.install(Path(os.environ["S3_DATA_DIR"]))
    state = Path(os.environ["STATE_DIR"])
    endpoints = endpoint_variables(int(os.environ["GATEWAY_PORT"]), int(os.environ["LOCALCLOUD_SAGEMAKER_PORT"]))
    client = clients(endpoints["AWS_ENDPOINT_URL"])
    known_images = images.parse(os.environ[images.SETTING])
    stack_resources.install(known_images)
    functions_loaded = functions.install(state, known_images, endpoints, client)
    executions.install(client)
    firing.install(client)
    used_services.turn_off_unused()
    containers = ecs.install(known_images, state.parent / "tasks", endpoints, client)
    saving.install(state, functions_loaded)
    app.app = RequestGuard(ServiceQuotas(containers.before(UsedPathsOnly(InvocationIds(app.app)))))
    serving.install()
    app.main()


if __name__ == "__main__":
    main()
