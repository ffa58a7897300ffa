"""A pipeline, as a user declares it.

A declaration is values only. Airflow imports it whenever it parses a DAG file, so neither this package nor a
declaration imports pandas or uses the network (P10). Functions and contracts are named as ``"module:name"`` within the
pipeline's package, and imported when they run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import product
from typing import get_args

from sluice.declaration.checks import check_tuple
from sluice.declaration.cloud import Network, check_kms_key, check_prices, check_tags
from sluice.declaration.deployment import Deployment
from sluice.declaration.metrics import METRICS
from sluice.declaration.monitoring import Monitoring
from sluice.declaration.names import check_name
from sluice.declaration.scoring import Scoring
from sluice.declaration.sources import EventSource, Source
from sluice.declaration.steps import Conform, Step, has_state, name_after, name_before
from sluice.declaration.training import Training
from sluice.errors import DeclarationError
from sluice.lake.grains import Grain
from sluice.lake.layout import Folder
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.zones import zone_named

# An ARN has an endpoint's name in lower case, and policies compare ARNs letter by letter.
_ENDPOINT = re.compile(r"[a-z0-9](-*[a-z0-9]){0,45}")


@dataclass(frozen=True)
class Pipeline:
    """A pipeline: its sources, its steps, and how its model is trained and deployed.

    Args:
        name: The name of its folder: at most 24 of a-z, 0-9 and ``_``, starting with a letter.
        every: The length of a partition: ``hour``, ``day``, ``week`` (from Monday) or ``month``.
        start: The start of the first partition that Airflow transforms by itself, in the zone.
        sources: Where events come from; at least one.
        steps: The transforms, in order; at least one. Each reads sources and earlier steps.
        training: How a model is trained; None: the pipeline ends at its lake.
        deployment: Where the model is served; None: it has no endpoint.
        scoring: How the live model scores partitions of the lake in batch; None: it does not. Without a deployment and
            a scoring, the pipeline ends at a trained model.
        end: A moment in the last partition that Airflow transforms by itself; None: there is no last one.
        zone: The IANA name of the zone at whose midnights days, weeks and months start. Hours are those of UTC. Neither
            it nor ``every`` can be changed once there is data.
        kms_key: The ARN of the KMS key that encrypts the lake, the sources, the completion topic, and the disks of
            training jobs and endpoints. The workers' policy and SageMaker's role allow its use; the key's own policy
            must leave that to IAM, as the default one does. None: each service encrypts with its own key.
            Instances with local disks, such as ml.g5, take no key.
        network: The part of a VPC in which training jobs, endpoints, and steps on Lambda and Fargate run; None: AWS's
            own network, which Fargate has not.
        isolated: Whether the containers of training jobs and models reach no network at all. Nothing else changes:
            SageMaker itself moves their data and artefacts, through ``network`` if there is one.
        tags: Set on every resource of the pipeline that can have tags; at most 47. AWS takes 50, and a training job has
            three of Sluice's own.
        prices: What you pay for an hour of an instance, in USD by instance type, where it is not the list price of
            us-east-1: in another region, with a discount, or for a type that has no price otherwise.

    Raises:
        DeclarationError: a name is taken or not allowed, a step reads what no source or earlier step writes, a
            ``Conform`` reads no queue or stream, or another member has a wrong form.
    """

    name: str
    every: Grain
    start: datetime
    sources: tuple[Source, ...]
    steps: tuple[Conform | Step, ...]
    training: Training | None = None
    deployment: Deployment | None = None
    scoring: Scoring | None = None
    end: datetime | None = None
    kms_key: str | None = None
    network: Network | None = None
    isolated: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    zone: str = "UTC"

    def __post_init__(self) -> None:
        check_name("pipeline", self.name)
        if self.every not in get_args(Grain):
            raise DeclarationError(
                f"pipeline {self.name}: every={self.every!r} is no partition length; use {' or '.join(get_args(Grain))}"
            )
        self._check_zone()
        check_tuple(f"pipeline {self.name}", "sources", self.sources, Source, "FifoQueue(…)")
        check_tuple(f"pipeline {self.name}", "steps", self.steps, Conform | Step, "Conform(…)")
        self._check_time()
        self._check_folders()
        known: list[str] = []
        for part in (*self.sources, *self.steps, *filter(None, [self.scoring])):
            check_name("dataset", part.name)
            if part.name in known:
                raise DeclarationError(f"pipeline {self.name}: two datasets are called {part.name!r}; rename one")
            if isinstance(part, Conform | Step):
                self._check_step(part, known)
            known.append(part.name)
        for name, (looked_at, looks) in product(known, ((name_before, "back"), (name_after, "ahead"))):
            if looked_at(name) in known:
                raise DeclarationError(
                    f"pipeline {self.name}: dataset {looked_at(name)!r} has the name under which a step looks {looks} "
                    f"on {name!r}; rename one of the two"
                )
        self._check_freshness()
        self._check_model()
        if self.kms_key is not None:
            check_kms_key(self.name, self.kms_key)
        check_tags(self.name, self.tags)
        check_prices(self.name, self.prices)

    def _check_zone(self) -> None:
        try:
            zone_named(self.zone)
        except (OSError, ValueError, TypeError) as error:
            raise DeclarationError(
                f"pipeline {self.name}: zone={self.zone!r} must be the name of a time zone, such as 'Europe/Berlin', "
                f"or be left out for UTC"
            ) from error
        if self.every == "hour" and self.zone != "UTC":
            raise DeclarationError(
                f"pipeline {self.name}: zone={self.zone!r}, but hours are those of UTC; leave out the zone, or use days"
            )

    def _check_time(self) -> None:
        for moment in filter(None, (self.start, self.end)):
            if moment.utcoffset() is None:
                raise DeclarationError(f"pipeline {self.name}: start and end need a time zone; use {self._zone}")
            if moment.utcoffset() != moment.astimezone(self.calendar.tzinfo).utcoffset():
                raise DeclarationError(
                    f"pipeline {self.name}: {moment.isoformat()} is not {self.zone}, but partitions are; use "
                    f"{self._zone}"
                )
        if self.start.astimezone(UTC) != self.first.start:
            raise DeclarationError(
                f"pipeline {self.name}: start={self.start.isoformat()} is not the start of a partition; write the "
                f"start of the {self.every}, which is {self.first.start.astimezone(self.calendar.tzinfo).isoformat()}"
            )
        if self.end is not None and self.end < self.start:
            raise DeclarationError(
                f"pipeline {self.name}: end={self.end.isoformat()} is before start={self.start.isoformat()}; swap "
                f"the two"
            )

    def _check_folders(self) -> None:
        """Check that the folders of drops are outside the lake's own folders, and that no two overlap."""
        seen: dict[str, str] = {}
        for source in self.sources:
            for folder in source.foreign_folders:
                if folder.startswith(f"{self.name}/"):
                    raise DeclarationError(
                        f"pipeline {self.name}: source {source.name} has {folder!r}, which is inside the lake's own "
                        f"folders; use another one, such as 'drops/{source.name}/'"
                    )
                for other, owner in seen.items():
                    if folder.startswith(other) or other.startswith(folder):
                        raise DeclarationError(
                            f"pipeline {self.name}: the folders of {owner} and {source.name} overlap ({other!r}, "
                            f"{folder!r}); give each one of its own"
                        )
                seen[folder] = source.name

    def _check_step(self, step: Conform | Step, known: list[str]) -> None:
        self._check_folder(step.name)
        if step.runtime.needs_network and self.network is None:
            raise DeclarationError(
                f"pipeline {self.name}: step {step.name!r} may run on Fargate, which needs a network; declare "
                f"network=Network(subnets=('subnet-…',), security_groups=('sg-…',)), on a laptop any ids"
            )
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
        if len(set(names)) < len(names):
            raise DeclarationError(f"pipeline {self.name}: step {step.name!r} must read each dataset once")

    def _check_freshness(self) -> None:
        for name, bound in self.fresh_within.items():
            lateness = self.lateness(self.step(name))
            if bound <= lateness:
                raise DeclarationError(
                    f"pipeline {self.name}: step {name!r} has fresh_within={bound}, but what it reads closes "
                    f"{lateness} after its end at the earliest; make it longer, or the lateness of the source shorter"
                )

    def _check_folder(self, name: str) -> None:
        if name in set(Folder):
            raise DeclarationError(f"pipeline {self.name}: the lake has a folder {name!r}; rename that dataset")

    def _check_model(self) -> None:
        if self.training is not None:
            self._check_training(self.training)
        if self.deployment is not None:
            self._check_deployment(self.deployment)
        if self.scoring is not None:
            self._check_scoring(self.scoring)

    def _check_training(self, training: Training) -> None:
        self._check_rows("training", training.rows)
        if len({training.label, *(each.name for each in training.inputs)}) <= len(training.features):
            raise DeclarationError(f"pipeline {self.name}: training must name each feature once, and not its own label")
        group = training.problem.group_column
        if group in {training.label, *(each.name for each in training.inputs)}:
            raise DeclarationError(
                f"pipeline {self.name}: training ranks the rows of each {group!r}, which is its label or a feature; a "
                f"group only says which rows are compared, so leave it out there"
            )

    def _check_rows(self, reader: str, rows: str) -> None:
        if rows not in [step.name for step in self.steps]:
            raise DeclarationError(
                f"pipeline {self.name}: {reader} reads {rows!r}, which is no step; name one of "
                f"{', '.join(step.name for step in self.steps)}"
            )

    def _check_deployment(self, deployment: Deployment) -> None:
        if self.training is None:
            raise DeclarationError(f"pipeline {self.name}: a deployment needs a training; declare one, or leave it out")
        if not _ENDPOINT.fullmatch(deployment.endpoint):
            raise DeclarationError(
                f"pipeline {self.name}: endpoint name {deployment.endpoint!r} is not allowed: use at most 46 "
                f"letters in lower case, digits and '-', starting and ending with a letter or digit"
            )
        if deployment.monitoring is not None:
            deployment.monitoring.check_metric(METRICS[self.training.gate.metric])

    def _check_scoring(self, scoring: Scoring) -> None:
        if self.training is None:
            raise DeclarationError(f"pipeline {self.name}: a scoring needs a training; declare one, or leave it out")
        self._check_folder(scoring.name)
        self._check_rows("scoring", self.rows_to_score)
        scoring.check_problem(self.training.problem)
        if scoring.approval is not None and self.deployment is not None:
            raise DeclarationError(f"pipeline {self.name}: the endpoint's model scores; declare approval in deployment")

    @property
    def _zone(self) -> str:
        """The time zone as it is written in a declaration."""
        return "datetime.UTC" if self.zone == "UTC" else f"zoneinfo.ZoneInfo({self.zone!r})"

    @cached_property
    def calendar(self) -> Calendar:
        """How time is divided into partitions."""
        return Calendar(self.every, self.zone)

    @cached_property
    def first(self) -> Partition:
        """The partition of its start."""
        return Partition.containing(self.start, self.calendar)

    def require_training(self) -> Training:
        """Return the training.

        Raises:
            DeclarationError: the pipeline ends at its lake.
        """
        if self.training is None:
            raise DeclarationError(
                f"pipeline {self.name} ends at its lake: it trains no model; add a training to its declaration for one"
            )
        return self.training

    def require_deployment(self) -> Deployment:
        """Return the deployment.

        Raises:
            DeclarationError: the pipeline ends at its lake, or has no endpoint.
        """
        self.require_training()
        if self.deployment is None:
            raise DeclarationError(
                f"pipeline {self.name} has no endpoint: it declares no deployment; add one to its declaration"
            )
        return self.deployment

    def require_monitoring(self) -> Monitoring:
        """Return the monitoring.

        Raises:
            DeclarationError: the pipeline has no live model, or does not watch it.
        """
        monitoring = self.require_deployment().monitoring
        if monitoring is None:
            raise DeclarationError(
                f"pipeline {self.name} does not watch its model; add a monitoring to its deployment to do so"
            )
        return monitoring

    def require_scoring(self) -> Scoring:
        """Return the scoring.

        Raises:
            DeclarationError: the pipeline ends at its lake, or scores nothing in batch.
        """
        self.require_training()
        if self.scoring is None:
            raise DeclarationError(
                f"pipeline {self.name} scores nothing in batch; add a scoring to its declaration to do so"
            )
        return self.scoring

    @property
    def rows_to_score(self) -> str:
        """The step whose rows are scored in batch."""
        return self.require_scoring().rows or self.require_training().rows

    @property
    def approval(self) -> timedelta | None:
        """How long a person may take to approve a new model; None: nobody is asked."""
        goes_live = self.deployment or self.scoring
        return goes_live.approval if goes_live else None

    @cached_property
    def event_sources(self) -> tuple[EventSource, ...]:
        """The sources of single events, in the order of the declaration."""
        return tuple(source for source in self.sources if isinstance(source, EventSource))

    def ingest_name(self, source: EventSource) -> str:
        """Return the name of a source's ingest DAG. All but the first source of a kind have their own name appended."""
        first = next(each for each in self.event_sources if each.kind == source.kind)
        suffix = "" if source == first else f"_{source.name}"
        return f"{self.name}_ingest_{source.kind}{suffix}"

    def source(self, name: str) -> Source | None:
        """Return the source of that name; None if there is none."""
        return next((source for source in self.sources if source.name == name), None)

    @property
    def fresh_within(self) -> Mapping[str, timedelta]:
        """How fresh the steps have to be that declare it, by their names."""
        return {step.name: step.fresh_within for step in self.steps if step.fresh_within is not None}

    def lateness(self, step: Conform | Step) -> timedelta:
        """Return the longest lateness of the queues and streams that a step reads, itself or through earlier steps."""
        sources = [source for source in self.event_sources if source.name in self.sources_of[step.name]]
        return max((source.lateness for source in sources), default=timedelta(0))

    @cached_property
    def sources_of(self) -> Mapping[str, frozenset[str]]:
        """The sources that a step reads, itself or through earlier steps, by the name of the step."""
        found: dict[str, frozenset[str]] = {}
        for step in self.steps:
            read = (found.get(read.dataset, frozenset({read.dataset})) for read in step.reads)
            found[step.name] = frozenset[str]().union(*read)
        return found

    def carries_state(self, step: Conform | Step) -> bool:
        """Return whether a step has a state, or reads a step that has one, itself or through others."""
        earlier = {known.name: known for known in self.steps}
        return has_state(step) or any(
            self.carries_state(earlier[read.dataset]) for read in step.reads if read.dataset in earlier
        )

    def step(self, name: str) -> Conform | Step:
        """Return the step of that name.

        Raises:
            DeclarationError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise DeclarationError(
            f"pipeline {self.name} has no step {name!r}; it has {', '.join(step.name for step in self.steps)}"
        )
