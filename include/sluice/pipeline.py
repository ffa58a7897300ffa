"""What a user declares: a pipeline, its sources, its ordered steps, its training and its deployment.

A declaration is values only. It is imported every time Airflow parses a DAG file, so neither this module nor
a declaration imports pandas or touches the network (P10); functions and contracts are named as
``"module:name"`` within the pipeline's package, and resolved when they run.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from sluice.errors import DeclarationError
from sluice.sources import Drops, EventSource, FifoQueue, Marker, Queue, Source, StandardQueue, Stream

# All that a declaration needs, from one module.
__all__ = [
    "Conform",
    "Deployment",
    "Drops",
    "FifoQueue",
    "Gate",
    "Grain",
    "Input",
    "Marker",
    "Pipeline",
    "StandardQueue",
    "Step",
    "Stream",
    "TimeSplit",
    "Training",
    "XGBoost",
    "load_pipeline",
    "load_pipelines",
    "pipeline_names",
]

Grain = Literal["hour", "day"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# SageMaker's names hold 63 characters: <pipeline>-<candidate>-<16 digits>-<attempt>, <endpoint>-<16 digits>.
_LONGEST_NAME = 24
_LONGEST_CANDIDATE = 19
_ENDPOINT = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,45}")
# What the lake keeps beside the steps' datasets (see sluice.lake).
_TAKEN = {
    "announced",
    "checkpoints",
    "deployments",
    "endpoints",
    "models",
    "quarantine",
    "raw",
    "redriven",
    "snapshots",
    "started",
}


@dataclass(frozen=True)
class Input:
    """One input of a step: a source or an earlier step.

    ``look_back`` is the number of earlier partitions whose rows the step also receives, as
    ``<dataset>_before``. A partition that was never written counts as no rows.
    """

    dataset: str
    look_back: int = 0


@dataclass(frozen=True)
class Conform:
    """The first step of a queue or stream: one row per event id, in group order, each checked against ``contract``.

    ``contract`` names a pydantic model of the JSON body. Its output has the envelope columns ``event_id``,
    ``group``, ``sequence_number``, ``event_time``, ``sent_at`` and then the members of the model. What does not
    fit is quarantined verbatim with a reason.
    """

    name: str
    source: str
    contract: str

    @property
    def reads(self) -> tuple[Input, ...]:
        return (Input(self.source),)


@dataclass(frozen=True)
class Step:
    """One ordered transform; its output is a dataset of its own, partition by partition.

    ``run`` names a function of pandas DataFrames. It gets one keyword argument per input, named for the dataset,
    with this partition's rows; an input with a look-back adds ``<dataset>_before``. It returns this partition's
    rows and knows nothing of S3, SQS or Airflow.
    """

    name: str
    run: str
    reads: tuple[Input, ...]


@dataclass(frozen=True)
class XGBoost:
    """SageMaker's built-in XGBoost 3.2. ``hyperparameters`` are the container's, ``num_round`` among them."""

    hyperparameters: Mapping[str, str | int | float]
    name: str = "xgboost"


@dataclass(frozen=True)
class TimeSplit:
    """Shares of the partitions, in time order: the newest are the test set, those before them validation."""

    validation: float = 0.15
    test: float = 0.15


@dataclass(frozen=True)
class Gate:
    """A model goes live only if its ``metric`` on the snapshot's validation rows, by its artefact, is at least this."""

    metric: Literal["auc"]
    at_least: float


@dataclass(frozen=True)
class Training:
    """How a model is made from the rows of one step.

    ``features`` are the columns, in order, that the model sees; ``label`` is the column it learns. Rows without a
    label are left out. ``schedule`` is when Airflow trains. ``max_runtime`` bounds the job and every wait for it.
    """

    rows: str
    label: str
    features: tuple[str, ...]
    candidate: XGBoost
    gate: Gate
    split: TimeSplit = field(default_factory=TimeSplit)
    schedule: str = "@weekly"
    instance_type: str = "ml.m5.large"
    volume_gb: int = 10
    max_runtime: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Deployment:
    """Where the model is served. ``endpoint`` is the endpoint's name."""

    endpoint: str
    instance_type: str = "ml.m5.large"
    instances: int = 1


@dataclass(frozen=True)
class Pipeline:
    """Everything that the DAGs need to know of one pipeline. Its name is the name of its folder.

    ``every`` is the length of a partition (UTC). Airflow schedules one transform run per partition from
    ``start`` up to ``end`` (or for ever).

    Raises:
        DeclarationError: a name is taken or not allowed, or a step reads what no earlier step or source writes, or a
            ``Conform`` something else than a queue.
    """

    name: str
    every: Grain
    start: datetime
    sources: tuple[Source, ...]
    steps: tuple[Conform | Step, ...]
    training: Training
    deployment: Deployment
    end: datetime | None = None

    def __post_init__(self) -> None:
        _check_name("pipeline", self.name)
        if self.every not in get_args(Grain):
            raise DeclarationError(
                f"pipeline {self.name}: every={self.every!r} is no partition length; use {' or '.join(get_args(Grain))}"
            )
        known: list[str] = []
        for part in (*self.sources, *self.steps):
            _check_name("dataset", part.name)
            if part.name in known:
                raise DeclarationError(f"pipeline {self.name}: two datasets are called {part.name!r}; rename one")
            if isinstance(part, Conform | Step):
                self._check_step(part, known)
            known.append(part.name)
        self._check_sagemaker_names()
        if self.training.rows not in [step.name for step in self.steps]:
            raise DeclarationError(
                f"pipeline {self.name}: training reads {self.training.rows!r}, which is no step; name one of "
                f"{', '.join(step.name for step in self.steps)}"
            )
        if len({self.training.label, *self.training.features}) <= len(self.training.features):
            raise DeclarationError(f"pipeline {self.name}: training must name each feature once, and not its own label")
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise DeclarationError(f"pipeline {self.name}: start and end need a time zone; use datetime.UTC")

    def _check_step(self, step: Conform | Step, known: list[str]) -> None:
        if step.name in _TAKEN:
            raise DeclarationError(f"pipeline {self.name}: the lake has a folder {step.name!r}; rename that step")
        for read in step.reads:
            if read.dataset not in known:
                raise DeclarationError(
                    f"pipeline {self.name}: step {step.name!r} reads {read.dataset!r}, which nothing before it "
                    f"writes; known here: {', '.join(known)}"
                )
        if isinstance(step, Conform) and step.source not in [source.name for source in self.event_sources]:
            raise DeclarationError(
                f"pipeline {self.name}: {step.name!r} conforms {step.source!r}, which is no queue or stream; read it "
                f"in a Step"
            )
        names = [read.dataset for read in step.reads]
        if len(set(names)) < len(names) or any(read.look_back < 0 for read in step.reads):
            raise DeclarationError(
                f"pipeline {self.name}: step {step.name!r} must read each dataset once, with a look-back of 0 or more"
            )

    def _check_sagemaker_names(self) -> None:
        candidate, endpoint = self.training.candidate.name, self.deployment.endpoint
        _check_name("candidate", candidate, _LONGEST_CANDIDATE)
        if not _ENDPOINT.fullmatch(endpoint):
            raise DeclarationError(
                f"pipeline {self.name}: endpoint name {endpoint!r} is not allowed: use at most 46 letters, digits and "
                f"'-', starting and ending with a letter or digit"
            )

    @property
    def event_sources(self) -> tuple[EventSource, ...]:
        return tuple(source for source in self.sources if isinstance(source, EventSource))

    @property
    def queues(self) -> tuple[Queue, ...]:
        return tuple(source for source in self.sources if isinstance(source, Queue))

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple(source for source in self.sources if isinstance(source, Stream))

    @property
    def drops(self) -> tuple[Drops, ...]:
        return tuple(source for source in self.sources if isinstance(source, Drops))

    def source(self, name: str) -> Source | None:
        return next((source for source in self.sources if source.name == name), None)

    def step(self, name: str) -> Conform | Step:
        """The step of that name. Raises DeclarationError if there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise DeclarationError(
            f"pipeline {self.name} has no step {name!r}; it has {', '.join(step.name for step in self.steps)}"
        )

    def resolve(self, reference: str) -> Any:
        """The object that ``"module:name"`` names within this pipeline's package.

        Raises:
            DeclarationError: there is no such module or name.
        """
        module_name, _, attribute = reference.partition(":")
        try:
            return getattr(importlib.import_module(f"{PACKAGE}.{self.name}.{module_name}"), attribute)
        except (ImportError, AttributeError) as error:
            raise DeclarationError(
                f"pipeline {self.name}: {reference!r} can't be resolved ({error}); "
                f"write it as 'module:name' of a module beside its pipeline.py"
            ) from error


PACKAGE = "pipelines"


def _check_name(kind: str, name: str, longest: int = _LONGEST_NAME) -> None:
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise DeclarationError(
            f"{kind} name {name!r} is not allowed: use at most {longest} of a-z, 0-9 and '_', starting with a letter"
        )


def pipeline_names() -> tuple[str, ...]:
    """The folders under ``pipelines``, sorted; none is imported. ``.`` or ``_`` in front says: no pipeline."""
    folders = importlib.import_module(PACKAGE).__path__
    found = {entry.name for folder in folders for entry in Path(folder).iterdir() if entry.is_dir()}
    return tuple(sorted(name for name in found if not name.startswith((".", "_"))))


def load_pipeline(name: str) -> Pipeline:
    """The ``PIPELINE`` that ``pipelines/<name>/pipeline.py`` declares.

    Raises:
        DeclarationError: there is no such folder, its module can't be imported, or it declares no pipeline of its own
            name.
    """
    known = pipeline_names()
    if name not in known:
        raise DeclarationError(f"there is no pipeline {name!r}; known: {', '.join(known) or 'none'}")
    _check_name("pipeline", name)
    try:
        if importlib.util.find_spec(f"{PACKAGE}.{name}.pipeline") is None:
            raise DeclarationError(
                f"{PACKAGE}/{name} has no pipeline.py; declare the pipeline there, or move the folder"
            )
        module = importlib.import_module(f"{PACKAGE}.{name}.pipeline")
    except DeclarationError:
        raise
    except (Exception, SystemExit) as error:  # what a user's module may raise is not known
        raise DeclarationError(f"pipeline {name} can't be loaded: {_where(name, error)}; correct it") from error
    declared = getattr(module, "PIPELINE", None)
    if not isinstance(declared, Pipeline) or declared.name != name:
        raise DeclarationError(f"{module.__file__} must set PIPELINE to a Pipeline named {name!r}")
    return declared


def _where(name: str, error: BaseException) -> str:
    """The error in one line, with the last line of the pipeline's own code that led to it."""
    place = f"{PACKAGE}/{name}"
    if isinstance(error, SyntaxError):
        return f"{place}/{Path(error.filename or '').name} line {error.lineno}: {type(error).__name__}: {error.msg}"
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    folders = [Path(folder, name) for folder in importlib.import_module(PACKAGE).__path__]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.parent in folders:
            return f"{place}/{file.name} line {frame.lineno}: {what}"
    return what


def load_pipelines() -> tuple[tuple[Pipeline, ...], tuple[DeclarationError, ...]]:
    """Every pipeline that has a folder under ``pipelines``, by name; and why others of them can't be loaded."""
    pipelines: list[Pipeline] = []
    errors: list[DeclarationError] = []
    for name in pipeline_names():
        try:
            pipelines.append(load_pipeline(name))
        except DeclarationError as error:
            errors.append(error)
    return tuple(pipelines), tuple(errors)
