"""Runs steps in ECS tasks on AWS Fargate.

A task is named by its work: a second start finds it by ``startedBy`` and adopts it. It claims the attempt as a function
does, and leaves the result in S3, so the result outlives both this task and the one that waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from typing_extensions import override

from sluice.aws.failures import error_code, is_absent, patiently
from sluice.aws.template import Fragment
from sluice.compute.artefacts import Artefacts
from sluice.compute.attempts import Attempt, Claim, Outcome, Result
from sluice.compute.logs import last_lines
from sluice.compute.names import CODE, CONTAINER, cluster_name, own_name, task_logs
from sluice.compute.prices import fargate_price
from sluice.compute.remote import RemoteRuntime
from sluice.compute.requests import Request, Size
from sluice.compute.task_template import task_template
from sluice.compute.versions import require_same_code
from sluice.declaration.cloud import Network
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.runtimes import Fargate
from sluice.declaration.steps import Conform, Step
from sluice.errors import DeclarationError, MissingResource, RunInterrupted, SluiceError
from sluice.lake.manifests import digest_of

# Amazon ECS API reference, RunTask; developer guide, "Stopped tasks error messages".
_NO_CAPACITY = "Capacity is unavailable"
_INTERRUPTIONS = {"SpotInterruption", "TerminationNotice", "UserInitiated"}
_KILLED = 137  # the exit code of a container that was killed: for want of memory, unless something has stopped it
_CAPACITY_SECONDS = 60.0
_AROUND_THE_RUN = timedelta(minutes=30)  # for the start of a task, and its end
_UNTIL_IT_SHOWS = timedelta(minutes=5)
_LATER = "it is tried again; if that goes on, declare more subnets, or spot=False"
_CANCELLED = "the Airflow task that waits for it was cleared, failed or marked by a user"
_TOKEN = 64  # characters


class FargateRuntime(RemoteRuntime[Fargate]):
    """One family of task definitions for each step; a run asks for its own size."""

    @classmethod
    @override
    def template(
        cls, pipeline: Pipeline, step: Conform | Step, declared: Fargate, artefacts: Artefacts
    ) -> tuple[Fragment, ...]:
        return (task_template(pipeline, step, declared, artefacts.require_image(pipeline)),)

    @property
    @override
    def size(self) -> Size:
        return Size(kind="Fargate", memory_mb=int(self.declared.memory_gb * 1024), vcpu=self.declared.vcpu)

    @property
    @override
    def longest(self) -> timedelta:
        return self.declared.longest

    @property
    @override
    def dollars_per_second(self) -> float:
        return fargate_price(self.declared.vcpu, self.declared.memory_gb)

    @property
    @override
    def patience(self) -> timedelta:
        return self.longest + _AROUND_THE_RUN

    @property
    def _ecs(self) -> Any:
        return self.workspace.aws.client("ecs")

    @property
    def _cluster(self) -> str:
        return cluster_name(self.workspace.pipeline)

    @property
    def _family(self) -> str:
        return own_name(self.workspace.pipeline, self.step)

    @property
    def _network(self) -> Network:
        network = self.workspace.pipeline.network
        if network is None:
            raise DeclarationError(f"pipeline {self.workspace.pipeline.name} runs steps on Fargate; declare a network")
        return network

    @override
    def require_provisioned(self, code: str) -> None:
        advice = f"run `sluice provision {self.workspace.pipeline.name}`"
        try:
            found = self._ecs.describe_task_definition(taskDefinition=self._family)["taskDefinition"]
        except ClientError as error:
            if error_code(error) != "ClientException":
                raise
            raise MissingResource(
                f"step {self.step.name!r} runs on Fargate, but there is no task definition {self._family}; {advice}"
            ) from error
        variables = found["containerDefinitions"][0].get("environment", ())
        there = next((each["value"] for each in variables if each["name"] == CODE), "")
        pipeline = self.workspace.pipeline.name
        require_same_code(f"task definition {self._family}", there, f"step {self.step.name!r}", code, pipeline)

    @override
    def send(self, request: Request) -> Mapping[str, Any]:
        started_by = f"sluice-{request.work[:24]}-{request.attempt}"
        running = self._ecs.list_tasks(cluster=self._cluster, startedBy=started_by)["taskArns"]
        task = running[0] if running else self._run(request, started_by)
        return {"task": task, "since": self.workspace.lake.now().isoformat()}

    def _run(self, request: Request, started_by: str) -> str:
        """Start a task, and be patient while Fargate has no capacity; return its ARN."""

        def run() -> str:
            try:
                started = self._ecs.run_task(**self._task(request, started_by))
            except ClientError as error:
                raise self._refusal(error) from error
            if started["failures"]:
                raise RunInterrupted(f"{request} was not started: {started['failures'][0].get('reason')}; {_LATER}")
            arn: str = started["tasks"][0]["taskArn"]
            return arn

        return patiently(run, _CAPACITY_SECONDS)

    def _refusal(self, error: ClientError) -> Exception:
        message = error.response["Error"].get("Message", "")
        if _NO_CAPACITY in message:
            return RunInterrupted(f"Fargate has no capacity for step {self.step.name!r} ({message}); {_LATER}")
        if "FARGATE_SPOT" in message:
            return SluiceError(
                f"step {self.step.name!r} is declared with Fargate(spot=True), and there is no Fargate Spot here "
                f"({message}); declare spot=False"
            )
        return error

    def _task(self, request: Request, started_by: str) -> dict[str, Any]:
        size = {"cpu": str(int(self.declared.vcpu * 1024)), "memory": str(self.size.memory_mb)}
        container = {"name": CONTAINER, "command": [request.model_dump_json()]}
        tags = {"sluice:pipeline": request.pipeline, "sluice:work": request.work, **self.workspace.pipeline.tags}
        return {
            "cluster": self._cluster,
            "taskDefinition": self._family,
            "startedBy": started_by,
            # A client that retries a lost answer gets the task that it has started. ECS refuses a token that comes with
            # another request, such as that of a run that asks for the same work by other ranges.
            "clientToken": digest_of(request.model_dump(mode="json"))[:_TOKEN],
            "capacityProviderStrategy": [
                {"capacityProvider": "FARGATE_SPOT" if self.declared.spot else "FARGATE", "weight": 1}
            ],
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": list(self._network.subnets),
                    "securityGroups": list(self._network.security_groups),
                    "assignPublicIp": "DISABLED",
                }
            },
            "overrides": {**size, "containerOverrides": [container]},
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }

    @override
    def adopt(self, claim: Claim) -> Mapping[str, Any]:
        return {"task": claim.by}

    @override
    def cancel(self, reference: Mapping[str, Any]) -> None:
        try:
            self._ecs.stop_task(cluster=self._cluster, task=reference["task"], reason=_CANCELLED)
        except ClientError as error:
            if not is_absent(error):  # ECS forgets a task some time after it has stopped
                raise

    @override
    def ended(self, attempt: Attempt, reference: Mapping[str, Any]) -> Result | None:
        lake, task = self.workspace.lake, reference["task"]
        found = self._ecs.describe_tasks(cluster=self._cluster, tasks=[task])["tasks"]
        if found and not _has_ended(found[0]):
            return None
        result, claim = attempt.result(lake), attempt.claimed(lake)
        if result is not None or (not found and self._may_not_show_yet(reference)):
            return result
        if claim is not None and claim.by != task and lake.now() <= claim.until:
            return None  # another run was faster to claim the attempt, so this task had nothing to do
        outcome, why = _cause(found[0]) if found else ("interrupted", "ECS knows it no more")
        lost = Result(
            outcome=outcome,
            message=f"task {task} ended without a result: {why}",
            size=claim.size if claim else self.size,
            log=self._log(claim, found),
        )
        return self.conclude(attempt, lost)

    def _may_not_show_yet(self, reference: Mapping[str, Any]) -> bool:
        """Return whether the task is so new that a description may not have it yet (Amazon ECS API reference, RunTask).

        One that was adopted has run already.
        """
        since = reference.get("since")
        return since is not None and self.workspace.lake.now() - datetime.fromisoformat(since) < _UNTIL_IT_SHOWS

    def _log(self, claim: Claim | None, found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return the end of the log of who claimed the attempt, or of a task that ended before it could."""
        if claim is not None:
            return last_lines(self.workspace, claim.log)
        if not found or "exitCode" not in found[0]["containers"][0]:
            return ()  # it has no log: its container has never run
        task = found[0]["taskArn"].rpartition("/")[2]
        return last_lines(self.workspace, f"{task_logs(self.workspace.pipeline, self.step)}/{task}")


def _has_ended(task: Mapping[str, Any]) -> bool:
    """Return whether its container has stopped. The task itself is STOPPED only some seconds later."""
    containers = [each["lastStatus"] for each in task["containers"]]
    return task["lastStatus"] == "STOPPED" or (bool(containers) and set(containers) == {"STOPPED"})


def _cause(task: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Return how a task has ended, and why (Amazon ECS developer guide, "Stopped tasks error messages")."""
    container = task["containers"][0]
    reason = container.get("reason") or task.get("stoppedReason", "no reason is given")
    if task.get("stopCode") in _INTERRUPTIONS or _NO_CAPACITY in reason:
        return "interrupted", reason
    if container.get("exitCode") == _KILLED or "OutOfMemory" in reason:
        return "memory", reason
    return "failed", reason
