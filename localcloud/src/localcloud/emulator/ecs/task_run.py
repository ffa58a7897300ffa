"""One run of a task, from PROVISIONING to STOPPED, in a thread of its own."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.emulator.clients import Client
from localcloud.emulator.ecs import status
from localcloud.emulator.ecs.container import Container, Exit, RunningContainer
from localcloud.emulator.ecs.logs import ContainerLog, LogError, log_of
from localcloud.emulator.ecs.metadata import ContainerEndpoints, ContainerView
from localcloud.emulator.ecs.requests import Wanted
from localcloud.emulator.ecs.state import LOCK, Record
from localcloud.images import Image, MissingImageError, find

_MIB = 1024 * 1024
_LOOK_SECONDS = 0.2
_OUTPUT_SECONDS = 10.0
_GRACE_SECONDS = 30

logger = logging.getLogger("ecs")


@dataclass(frozen=True)
class Platform:
    """What all tasks share.

    Attributes:
        images: What takes the place of images, by name.
        scratch: Has a folder for each running task.
        variables: The environment variables with which boto3 finds this cloud.
        client: Returns clients of this cloud.
        endpoints: Answers containers.
    """

    images: Mapping[str, Image]
    scratch: Path
    variables: Mapping[str, str]
    client: Client
    endpoints: ContainerEndpoints


class NotStartedError(Exception):
    """The container can't be started; the message is the reason of the task and of the container."""


class TaskRun:
    """A task that runs.

    Args:
        platform: What all tasks share.
        task: The record of the task.
        wanted: What the RunTask asks for.
        cores: The cores that it runs on; empty for all.
    """

    def __init__(self, platform: Platform, task: Record, wanted: Wanted, cores: tuple[int, ...]) -> None:
        self._platform = platform
        self._task = task
        self._wanted = wanted
        self._cores = cores
        self._stopped = threading.Event()
        _, _, _, self._region, self._account, _ = task["taskArn"].split(":", 5)
        self._id: str = task["taskArn"].rpartition("/")[2]
        self._folder = platform.scratch / self._id

    def start(self) -> None:
        """Run the task in a thread."""
        threading.Thread(target=self._run, name=f"task-{self._id}", daemon=True).start()

    def stop(self) -> None:
        """Stop the task, whose record says why."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            ended = self._outcome()
        except Exception as error:
            logger.exception("task %s", self._task["taskArn"])
            ended = Exit(None, fault=f"InternalError: the embedded cloud failed: {error}")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        with LOCK:
            self._end(ended)

    def _outcome(self) -> Exit:
        """Run the container, and return how it has ended."""
        with LOCK:
            status.enter(self._task, "PENDING", pullStartedAt=time.time())
        try:
            image, log = self._image(), self._log()
        except NotStartedError as error:
            return Exit(None, fault=str(error))
        if self._stopped.is_set():
            return Exit(None)
        self._folder.mkdir(parents=True)
        token = self._platform.endpoints.open(ContainerView(self._task, self._wanted.role, self._assume))
        try:
            return self._run_container(self._container(image, token), log)
        finally:
            self._platform.endpoints.close(token)

    def _run_container(self, container: Container, log: ContainerLog) -> Exit:
        running = RunningContainer(container)
        log.follow(running.output)
        try:
            return self._watch(running, log)
        finally:
            running.close()
            log.finish(_OUTPUT_SECONDS)

    def _watch(self, running: RunningContainer, log: ContainerLog) -> Exit:
        failed = running.started()
        if failed is not None:
            return Exit(None, fault=f"CannotStartContainerError: {failed.fault}")
        with LOCK:
            status.start(self._task, f"{self._id}-0")
        asked = False
        while (ended := running.wait(_LOOK_SECONDS)) is None:
            log.publish()
            if self._stopped.is_set() and not asked:
                asked = True
                running.stop(self._wanted.container.get("stopTimeout", _GRACE_SECONDS))
        return ended

    def _end(self, ended: Exit) -> None:
        if ended.fault is not None:
            status.ask_to_stop(self._task, status.FAILED_TO_START, ended.fault)
            status.end(self._task, None, ended.fault)
        else:
            status.ask_to_stop(self._task, status.EXITED)
            status.end(self._task, ended.code, status.OUT_OF_MEMORY if ended.out_of_memory else None)
        status.enter(self._task, "STOPPED", stoppedAt=time.time())

    def _image(self) -> Image:
        uri = self._wanted.container["image"]
        try:
            return find(self._platform.images, uri)
        except MissingImageError as error:
            raise NotStartedError(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
                f"{uri}: {error}"
            ) from error

    def _log(self) -> ContainerLog:
        container = self._wanted.container
        options = container.get("logConfiguration", {}).get("options", {})
        client = self._platform.client("logs", options.get("awslogs-region", self._region), self._account)
        try:
            return log_of(container, self._id, client)
        except LogError as error:
            raise NotStartedError(
                f"ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"{error}"
            ) from error

    def _assume(self) -> Mapping[str, object]:
        """Return new credentials of the task's role."""
        sts = self._platform.client("sts", self._region, self._account)
        credentials: Mapping[str, object] = sts.assume_role(RoleArn=self._wanted.role, RoleSessionName=self._id)[
            "Credentials"
        ]
        return credentials

    def _container(self, image: Image, token: str) -> Container:
        definition, override = self._wanted.container, self._wanted.override
        command = [*definition.get("entryPoint", []), *{**definition, **override}.get("command", [])]
        limits = {**definition, **override}
        return Container(
            command=tuple(command),
            environment={
                **image.environment(self._folder, self._region, self._platform.variables),
                **_variables(definition),
                **_variables(override),
                "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
                **self._platform.endpoints.variables(token),
            },
            scratch=self._folder,
            code=image.code(),
            memory_bytes=min(limits.get("memory", self._wanted.size.memory), self._wanted.size.memory) * _MIB,
            cores=self._cores,
        )


def _variables(container: Record) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container.get("environment", [])}
