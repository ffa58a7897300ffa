"""The names of what a step on Lambda or Fargate has at AWS. They follow from the declaration."""

from __future__ import annotations

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step

# The variable of a function or a task definition that has the fingerprint of the step's code.
CODE = "SLUICE_CODE"
# The variable of a task definition that has its log group and the prefix of its streams, as ``group:prefix``.
LOG = "SLUICE_LOG"
CONTAINER = "step"
STREAMS = "fargate"  # the prefix of the log streams of tasks
# What a function calls; a task runs the same module.
HANDLER = "sluice.compute.handler.handle"
# The logical ids of the role with which steps run, and of the one with which ECS starts tasks.
STEP_ROLE, EXECUTION_ROLE = "StepRole", "StepExecutionRole"


def own_name(pipeline: Pipeline, step: Conform | Step) -> str:
    """Return the name of a step's function, and of the family of its task definitions.

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
    """
    return f"{pipeline.name}-{step.name}"


def cluster_name(pipeline: Pipeline) -> str:
    """Return the name of the ECS cluster in which a pipeline's tasks run."""
    return pipeline.name


def log_group(pipeline: Pipeline, step: Conform | Step) -> str:
    """Return the log group of a step.

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
    """
    return f"/sluice/{pipeline.name}/{step.name}"


def task_logs(pipeline: Pipeline, step: Conform | Step) -> str:
    """Return where the logs of a step's tasks are, as ``group:prefix``. A task's own stream is ``prefix/<task id>``.

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
    """
    return f"{log_group(pipeline, step)}:{STREAMS}/{CONTAINER}"
