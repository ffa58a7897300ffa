"""Sends each run of a step to Lambda or to Fargate, by what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from typing_extensions import override

from sluice.aws.template import Fragment
from sluice.compute.artefacts import Artefacts
from sluice.compute.attempts import Work, find_work
from sluice.compute.containers import FargateRuntime
from sluice.compute.contract import Limits, Runtime, Started, StepResult
from sluice.compute.functions import LambdaRuntime
from sluice.compute.remote import RemoteRuntime
from sluice.compute.requests import Size
from sluice.compute.routing import Choice, Load, choose, moved_up, predict
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.runtimes import FARGATE_MEMORY_GB, Auto, Fargate, Lambda
from sluice.declaration.steps import Conform, Step
from sluice.errors import StepOutgrown
from sluice.lake.manifests import Run
from sluice.lake.partitions import parse_ranges

# How many earlier partitions are asked for their measured runs.
_HISTORY = 8


class AutoRuntime(Runtime[Auto]):
    """Chooses, and leaves the rest to the chosen runtime."""

    @classmethod
    @override
    def template(
        cls, pipeline: Pipeline, step: Conform | Step, declared: Auto, artefacts: Artefacts
    ) -> tuple[Fragment, ...]:
        return (
            *LambdaRuntime.template(pipeline, step, declared.small, artefacts),
            *FargateRuntime.template(pipeline, step, declared.large, artefacts),
        )

    @property
    @override
    def limits(self) -> Limits:
        return Limits(int(max(FARGATE_MEMORY_GB[16]) * 1024), self.declared.large.longest)

    @override
    def start(self, ranges: str) -> Started:
        work = find_work(self.workspace, self.step.name, ranges)
        choice = self._choice(work)
        runtime = self._runtime(choice.runtime)
        started = runtime.begin(work, choice.reason)
        return replace(started, reference={**started.reference, "size": runtime.size.model_dump()})

    @override
    def start_larger(self, ranges: str, reference: Mapping[str, Any], error: StepOutgrown) -> Started:
        if reference.get("moved_up"):
            raise error
        started = self.start(ranges)
        return replace(started, reference={**started.reference, "moved_up": True})

    @override
    def look(self, reference: Mapping[str, Any]) -> StepResult | None:
        return self._started_on(reference).look(reference)

    @override
    def cancel(self, reference: Mapping[str, Any]) -> None:
        self._started_on(reference).cancel(reference)

    def _started_on(self, reference: Mapping[str, Any]) -> RemoteRuntime[Any]:
        return self._runtime(self._declared(Size.model_validate(reference["size"])))

    def _runtime(self, chosen: Lambda | Fargate) -> RemoteRuntime[Any]:
        if isinstance(chosen, Lambda):
            return LambdaRuntime(self.workspace, self.step, chosen)
        return FargateRuntime(self.workspace, self.step, chosen)

    def _declared(self, size: Size) -> Lambda | Fargate:
        if size.kind == "Lambda":
            return replace(self.declared.small, memory_mb=size.memory_mb)
        return replace(self.declared.large, vcpu=size.vcpu, memory_gb=size.memory_mb / 1024)

    def _choice(self, work: Work) -> Choice:
        if work.claim is not None:
            return Choice(self._declared(work.claim.size), "it runs there already")
        load = Load([each.size for each in work.planned.due], work.planned.bytes_at_once)
        need = predict(load, self._history(work), self.declared.expansion)
        outgrown = [each for each in work.ended if each.outcome in ("memory", "time")]
        if not outgrown:
            return choose(need, self.declared)
        largest = max(outgrown, key=lambda each: each.size.memory_mb)
        return moved_up(largest.size.memory_mb, need, self.declared, f"{largest.outcome} was short on {largest.size}")

    def _history(self, work: Work) -> list[Run]:
        """Return the measured runs of the step: of these partitions, and of those before them."""
        planned, first = work.planned.planned, parse_ranges(work.ranges, self.workspace.pipeline.calendar)[0]
        with ThreadPoolExecutor(_HISTORY) as pool:
            before = pool.map(
                lambda n: self.workspace.lake.manifest(self.step.name, first.shift(-n)), range(1, _HISTORY + 1)
            )
            found = [*before, *(each.current for each in planned[:_HISTORY])]
        return [each.run for each in found if each is not None and each.run is not None]
