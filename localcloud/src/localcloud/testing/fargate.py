"""Tasks on Fargate for tests: their cluster, role, log group and definitions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from localcloud.images import Image
from localcloud.testing.clouds import Cloud
from localcloud.testing.waiting import wait_for

IMAGES = {"worker": Image(Path(sys.executable))}
"""The image ``worker`` is the interpreter of the tests."""

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
CONTAINER = "main"


class Fargate:
    """A cluster for one test, and what its tasks need.

    Args:
        cloud: A cloud that has :data:`IMAGES`.
        name: The name of the cluster, the role, the log group and the family.

    Attributes:
        ecs: A client of ECS.
        name: That name.
        role: The ARN of the role, which tasks may assume.
    """

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.ecs = cloud.client("ecs")
        self.name = name
        self._logs = cloud.client("logs")
        self.ecs.create_cluster(clusterName=name, capacityProviders=["FARGATE", "FARGATE_SPOT"])
        self._logs.create_log_group(logGroupName=name)
        statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.role: str = cloud.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )["Role"]["Arn"]

    def definition(self, script: str, **container: Any) -> dict[str, Any]:
        """Return a request that registers a definition whose only container runs a script of Python.

        Args:
            script: The script.
            container: Other members of the container.
        """
        options = {"awslogs-group": self.name, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "run"}
        return {
            "family": self.name,
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": self.role,
            "containerDefinitions": [
                {
                    "name": CONTAINER,
                    "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/shop/worker:1",
                    "command": ["python", "-c", script],
                    "logConfiguration": {"logDriver": "awslogs", "options": options},
                    **container,
                }
            ],
        }

    def register(self, script: str, **container: Any) -> str:
        """Register the definition, and return its ARN."""
        registered = self.ecs.register_task_definition(**self.definition(script, **container))
        arn: str = registered["taskDefinition"]["taskDefinitionArn"]
        return arn

    def request(self, definition: str, **members: Any) -> dict[str, Any]:
        """Return a RunTask.

        Args:
            definition: The task definition.
            members: Other members of the request.
        """
        launch = {} if "capacityProviderStrategy" in members else {"launchType": "FARGATE"}
        return {
            "cluster": self.name,
            "taskDefinition": definition,
            "networkConfiguration": NETWORK,
            **launch,
            **members,
        }

    def run(self, definition: str, **members: Any) -> str:
        """Run one task, and return its ARN."""
        answer = self.ecs.run_task(**self.request(definition, **members))
        assert answer["failures"] == []
        arn: str = answer["tasks"][0]["taskArn"]
        return arn

    def task(self, arn: str) -> Any:
        """Return the task as DescribeTasks shows it."""
        return self.ecs.describe_tasks(cluster=self.name, tasks=[arn])["tasks"][0]

    def running(self, arn: str) -> Any:
        """Wait until the task is RUNNING, and return it."""
        return self._in_state(arn, "RUNNING")

    def stopped(self, arn: str) -> Any:
        """Wait until the task is STOPPED, and return it."""
        return self._in_state(arn, "STOPPED")

    def result(self, script: str, **container: Any) -> Any:
        """Run a script as a task to its end, and return the task."""
        return self.stopped(self.run(self.register(script, **container)))

    def lines(self, arn: str) -> list[str]:
        """Return the lines that the task's container has logged."""
        stream = f"run/{CONTAINER}/{arn.rpartition('/')[2]}"
        events = self._logs.get_log_events(logGroupName=self.name, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]

    def logged(self, arn: str, line: str) -> None:
        """Wait until a running task has logged a line."""

        def is_logged() -> bool:
            try:
                return line in self.lines(arn)
            except self._logs.exceptions.ResourceNotFoundException:
                return False

        wait_for(is_logged, what=f"line {line!r}")

    def _in_state(self, arn: str, state: str) -> Any:
        def reached() -> Any:
            task = self.task(arn)
            assert task["lastStatus"] != "STOPPED" or state == "STOPPED", task
            return task if task["lastStatus"] == state else None

        return wait_for(reached, what=f"state {state} of {arn}")
