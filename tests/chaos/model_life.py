"""The life of a model in a process of its own, with a fault at one call: ``python model_life.py BUCKET ENDPOINT``.

For each line of standard input, ``<fault> <n>``, it forks a child that launches, waits, scores, judges and deploys as
the tasks of the training DAG do, and scores two days in batch; it meets the fault at its nth call to AWS. It prints how
the child ended: ``done``, ``killed``, or the error. All that it imports is imported before, so a child takes about
a second.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import boto3
import sagemaker.core.image_uris  # noqa: F401  imported once, not in each child
import sklearn.metrics  # noqa: F401
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError
from tests.calendars import utc_ranges
from tests.chaos.forking import serve
from tests.sluice.toy import TOY

from localcloud.testing.clouds import OF_STAND_IN
from sluice.aws import clients
from sluice.aws.clients import Aws
from sluice.aws.failures import explain, is_transient
from sluice.aws.resources import find
from sluice.aws.wire import Wire
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Continuous, Deployment, LinearLearner, Scoring, Tuning, XGBoost
from sluice.errors import SluiceError
from sluice.evaluation.transforms import find_scoring
from sluice.lake.store import Lake
from sluice.scoring.batches import launch_batch
from sluice.scoring.writing import announce_scores, write_scores
from sluice.serving.champion import require_live
from sluice.serving.deployment import Done, Failed, Wait, advance, start
from sluice.serving.judging import announce_winner, launch_scorings, make_verdict
from sluice.serving.targets import target_of_verdict
from sluice.training.kinds import kind_of
from sluice.training.launching import launch_training
from sluice.workspace import Workspace

TUNED = XGBoost(
    {"objective": "binary:logistic", "num_round": 5, "nthread": 1}, tuning=Tuning({"eta": Continuous(0.1, 0.5)}, jobs=2)
)
LINEAR = LinearLearner({"predictor_type": "binary_classifier", "mini_batch_size": 20, "epochs": 2})
SCORED = "dt=2013-01-07..dt=2013-01-08"
_LONGEST_SECONDS = 120


@dataclass
class Fault:
    """What happens at the nth call.

    ``before`` and ``after`` kill, ``throttle`` refuses the call, ``lose`` loses its response.
    """

    kind: str
    nth: int
    calls: int = 0

    def before(self, **_: Any) -> None:
        self.calls += 1
        if self.calls != self.nth:
            return
        if self.kind == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "throttle":
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "AnyCall")

    def after(self, **_: Any) -> None:
        if self.calls != self.nth:
            return
        if self.kind == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "lose":
            self.calls += 1
            raise ConnectTimeoutError(endpoint_url="http://aws")


@dataclass(frozen=True)
class FaultyAws(Aws):
    """Clients that meet a fault."""

    fault: Any = None

    def make_client(self, service: str) -> Any:
        made = super().make_client(service)
        made.meta.events.register("before-call", self.fault.before)
        made.meta.events.register("after-call", self.fault.after)
        return made


def workspace_of(aws: Aws, bucket: str, endpoint: str) -> Workspace:
    """Return the toy with two candidates, of which one is tuned, a lake and an endpoint of the test's own."""
    training = replace(TOY.require_training(), candidates=(TUNED, LINEAR))
    scoring = Scoring(keep=("value",))
    pipeline = replace(TOY, training=training, deployment=Deployment(endpoint), scoring=scoring)
    return Workspace(pipeline, replace(find(aws, "toy"), bucket=bucket), Lake(aws.client("s3"), bucket, "toy"), aws)


def live_through(workspace: Workspace) -> Done | Failed:
    """Do what the tasks of the training DAG do, one after another."""
    training = workspace.pipeline.require_training()
    fingerprint = make_snapshot(workspace).fingerprint
    names = [launch_training(workspace, candidate, fingerprint).job_name for candidate in training.candidates]
    for name in names:
        kind = kind_of(workspace.pipeline, name)
        _wait(lambda name=name, kind=kind: kind.find(workspace, name))  # type: ignore[misc]
    for name in launch_scorings(workspace, names, fingerprint):
        _wait(lambda name=name: find_scoring(workspace, name))  # type: ignore[misc]
    number = make_verdict(workspace, names, fingerprint)
    announce_winner(workspace, number, "run")
    target = target_of_verdict(workspace, number)
    step = start(workspace, target)
    while isinstance(step, Wait):
        time.sleep(0.2)
        step = (advance if step.begun else start)(workspace, target)
    if isinstance(step, Done):
        score_in_batch(workspace)
    return step


def score_in_batch(workspace: Workspace) -> None:
    """Do what the tasks of the scoring DAG do, one after another."""
    job = require_live(workspace).job
    name = launch_batch(workspace, job, SCORED)
    if name is not None:
        _wait(lambda: find_scoring(workspace, name))
    write_scores(workspace, job, SCORED)
    announce_scores(workspace, job, utc_ranges(SCORED), "run")


def _wait(find_it: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while not find_it().ended:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def child(bucket: str, endpoint: str, kind: str, nth: int) -> str:
    """Live through a life with a fault; return how it ended, with the number of calls."""
    fault = Fault(kind, nth)
    sagemaker = os.environ["AWS_ENDPOINT_URL_SAGEMAKER"]
    aws = FaultyAws(boto3.Session(), lambda service: sagemaker if service in OF_STAND_IN else None, fault=fault)
    try:
        step = live_through(workspace_of(aws, bucket, endpoint))
    except (SluiceError, BotoCoreError, ClientError) as error:
        return f"{'transient' if is_transient(error) else 'refused'} {explain(error)}"
    return f"done {fault.calls}" if isinstance(step, Done) else f"failed {step.reason}"


def main(bucket: str, endpoint: str) -> None:
    """Fork a child for each line of standard input."""
    clients._CONFIG = clients._CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
    Wire.send = lambda *_: None  # type: ignore[method-assign, assignment]  # boto3 makes every call
    serve(lambda kind, nth: child(bucket, endpoint, kind, int(nth)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
