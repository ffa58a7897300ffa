"""The stand-in's parts, assembled behind one HTTP application."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.request_guard import RequestGuard
from localcloud.sagemaker.api.http import RequestIds
from localcloud.sagemaker.api.protocol import Api, ControlPlane
from localcloud.sagemaker.api.search import Search
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data import aws
from localcloud.sagemaker.data.s3 import Objects
from localcloud.sagemaker.hosting.deployment import Deployer
from localcloud.sagemaker.hosting.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.hosting.endpoints import Endpoints
from localcloud.sagemaker.hosting.fleet import Fleet
from localcloud.sagemaker.hosting.invocation_metrics import InvocationMetrics
from localcloud.sagemaker.hosting.loading import Loader
from localcloud.sagemaker.hosting.runtime import Invoked, Runtime
from localcloud.sagemaker.hosting.scalable_targets import ScalableTargets
from localcloud.sagemaker.hosting.scaler import Load, Scaler
from localcloud.sagemaker.hosting.shifting import Alarms, Clock
from localcloud.sagemaker.jobs.cores import Cores
from localcloud.sagemaker.jobs.runner import JobRunner, Services
from localcloud.sagemaker.registry.model_package_groups import ModelPackageGroups
from localcloud.sagemaker.registry.model_packages import ModelPackages
from localcloud.sagemaker.registry.models import Models
from localcloud.sagemaker.training.attempt import TrainingKind
from localcloud.sagemaker.training.jobs import TrainingJobs
from localcloud.sagemaker.transform.attempt import TransformKind
from localcloud.sagemaker.transform.jobs import TransformJobs
from localcloud.sagemaker.tuning.jobs import TuningJobs
from localcloud.sagemaker.tuning.tuner import Tuner


def create_app(state: Path, aws_endpoint: str) -> Starlette:
    """Return the application.

    At its start it ends the jobs of its earlier process and serves its endpoints again; at its stop it ends what runs.

    Args:
        state: The folder of its state.
        aws_endpoint: The URL of S3, CloudWatch and CloudWatch Logs.
    """
    store = Store(state / "sagemaker.sqlite")
    objects = Objects(aws.s3_client(aws_endpoint))
    fleet = Fleet()
    services = Services(store, objects, aws.logs_client(aws_endpoint))
    cores = Cores(os.cpu_count() or 1)
    training = JobRunner(store, TrainingKind(services), state / "jobs", cores)
    transforming = JobRunner(store, TransformKind(services), state / "transforms", cores)
    cloudwatch = aws.cloudwatch_client(aws_endpoint)
    alarms = Alarms(cloudwatch)
    clock = Clock()
    deployer = Deployer(store, Loader(objects, state / "endpoints"), fleet, alarms, clock)
    tags = Tags(store)
    jobs = TrainingJobs(store, tags, objects, training)
    tuner = Tuner(store, jobs, training.ended)
    tunings = TuningJobs(store, tags, jobs, tuner)
    groups = ModelPackageGroups(store, tags)
    packages = ModelPackages(store, tags, groups, objects)
    models = Models(store, tags, objects, packages)
    transforms = TransformJobs(store, tags, models, transforming)
    configs = EndpointConfigs(store, tags, models)
    scaling = ScalableTargets(store, clock)
    endpoints = Endpoints(store, tags, configs, models, deployer, alarms, clock, scaling)
    sagemaker = Api(
        {
            **tags.operations(),
            **jobs.operations(),
            **tunings.operations(),
            **groups.operations(),
            **packages.operations(),
            **models.operations(),
            **transforms.operations(),
            **configs.operations(),
            **endpoints.operations(),
            **Search(store).operations(),
        }
    )
    control_plane = ControlPlane(sagemaker, scaling.api())
    metrics, load = InvocationMetrics(cloudwatch), Load(clock)
    scaler = Scaler(store, scaling, load, endpoints.adjust, clock)

    def record(invoked: Invoked) -> None:
        metrics.record(invoked)
        load.record(invoked)

    runtime = Runtime(fleet, record)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(jobs.recover)
        await run_in_threadpool(tunings.recover)
        await run_in_threadpool(transforms.recover)
        await run_in_threadpool(deployer.recover)
        metrics.start()
        scaler.start()
        try:
            yield
        finally:
            await run_in_threadpool(scaler.close)
            await run_in_threadpool(tuner.close)
            await run_in_threadpool(training.close)
            await run_in_threadpool(transforming.close)
            await run_in_threadpool(deployer.close)
            await run_in_threadpool(metrics.close)
            store.close()

    return Starlette(
        lifespan=lifespan,
        middleware=[Middleware(RequestGuard), Middleware(RequestIds)],
        routes=[
            Route("/ping", _ping, methods=["GET"]),
            Route("/", control_plane.answer, methods=["POST"]),
            *runtime.routes(),
        ],
    )


async def _ping(_request: Request) -> Response:
    return Response()
