"""A day of many pipelines through the limits of Airflow's scheduler and of its workers, in steps of a second.

What is simulated: the dispatch looks every 15 seconds and starts the runs of partitions that are due, five queued at
most; its own runs are 30 seconds apart at least; four runs of a transform run at once; the tasks of a run follow one
another; a scheduler queues so many tasks a second and has so many under way; a worker's slot runs one task. Tasks are
served in the order in which they are ready.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sluice_airflow.runs import _MOST_QUEUED

DAY = 86_400  # seconds
LOOK_SECONDS = 15  # dags/dispatch.py
APART_SECONDS = 30  # dags/dispatch.py
ACTIVE_RUNS = 4  # max_active_runs of dags/transform.py
_USED_UP = 0.97
RUN_TASKS = 6  # of flights: wait, land_drops, conform, enrich, features, announce


@dataclass(frozen=True)
class Load:
    """The partitions that become complete, evenly over a day.

    Attributes:
        pipelines: How many pipelines there are.
        partitions: How many partitions of each become complete in a day.
        task_seconds: How long a task takes with its start.
    """

    pipelines: int = 100
    partitions: int = 1_000
    task_seconds: int = 4


@dataclass(frozen=True)
class Limits:
    """What serves the load.

    Attributes:
        slots: How many tasks all workers run at once, four each.
        schedulers: How many schedulers there are.
        parallelism: How many tasks one scheduler has under way (deploy/celery.env).
        queued_a_second: How many tasks one scheduler queues in a second, all day: assumed, less than a tenth of what
            `make bench` measures of a burst.
    """

    slots: int = 64
    schedulers: int = 1
    parallelism: int = 64
    queued_a_second: int = 20


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes:
        backlog: The partitions that were due and not transformed in the end.
        arrived: All partitions that were due.
        tasks: How many tasks were started.
        wait_seconds: From a partition's completeness to the end of its run; the mean of the last hour's runs.
        slots_used: The share of the workers' slots that was busy.
        under_way_used: The share of the schedulers' parallelism that was used.
        queueing_used: The share of what the schedulers can queue.
    """

    backlog: int
    arrived: int
    tasks: int
    wait_seconds: float
    slots_used: float
    under_way_used: float
    queueing_used: float

    @property
    def keeps_up(self) -> bool:
        """Whether nothing is used up: what is, lets the partitions wait longer and longer."""
        return max(self.slots_used, self.under_way_used, self.queueing_used) < _USED_UP


@dataclass
class _Pipeline:
    due: deque[int] = field(default_factory=deque)  # the second at which each became complete
    queued: deque[int] = field(default_factory=deque)
    active: int = 0
    looking: bool = True  # whether the dispatch waits, and its tasks don't run
    began: int = 0  # when the dispatch's run began
    next_run: int | None = None  # when the dispatch's next run may begin; None while one runs


class _Simulation:
    def __init__(self, load: Load, limits: Limits, seconds: int) -> None:
        self.load, self.limits, self.seconds = load, limits, seconds
        self.pipelines = [_Pipeline() for _ in range(load.pipelines)]
        self.ready: deque[Callable[[int], None]] = deque()  # tasks, each as what follows its end
        self.broker: deque[Callable[[int], None]] = deque()
        self.ending: dict[int, list[Callable[[int], None]]] = defaultdict(list)
        self.waits: deque[tuple[int, int]] = deque()  # when a run ended, and how long its partition had waited
        self.running = self.started = self.busy = self.under_way = 0

    def run(self) -> Result:
        every, capacity = DAY / self.load.partitions, self.limits.queued_a_second * self.limits.schedulers
        parallelism = self.limits.parallelism * self.limits.schedulers
        arrived = 0
        arrivals = sorted(
            (int((number + place / self.load.pipelines) * every), place)
            for place in range(self.load.pipelines)
            for number in range(int(self.seconds / every))
        )
        for now in range(self.seconds):
            while arrived < len(arrivals) and arrivals[arrived][0] <= now:
                self.pipelines[arrivals[arrived][1]].due.append(now)
                arrived += 1
            for follow in self.ending.pop(now, ()):
                self.running -= 1
                follow(now)
            for place, pipeline in enumerate(self.pipelines):
                if pipeline.next_run is not None and now >= pipeline.next_run:
                    self._look_at_once(pipeline, now)
                if pipeline.looking and pipeline.due and (now + place) % LOOK_SECONDS == 0:
                    self._dispatch(pipeline)
            for _ in range(min(capacity, len(self.ready), parallelism - self.running - len(self.broker))):
                self.broker.append(self.ready.popleft())
            for _ in range(min(len(self.broker), self.limits.slots - self.running)):
                self.ending[now + self.load.task_seconds].append(self.broker.popleft())
                self.running += 1
                self.started += 1
            self.busy += self.running
            self.under_way += self.running + len(self.broker)
        late = [waited for ended, waited in self.waits if ended > self.seconds - 3_600]
        return Result(
            backlog=arrived - len(self.waits),
            arrived=arrived,
            tasks=self.started,
            wait_seconds=sum(late) / len(late) if late else float("inf"),
            slots_used=self.busy / (self.seconds * self.limits.slots),
            under_way_used=self.under_way / (self.seconds * parallelism),
            queueing_used=self.started / (self.seconds * capacity),
        )

    def _look_at_once(self, pipeline: _Pipeline, now: int) -> None:
        """The wait of the dispatch's next run looks. It is deferred if nothing is due."""
        pipeline.began, pipeline.next_run = now, None

        def looked(_: int) -> None:
            pipeline.looking = not pipeline.due
            if pipeline.due:
                self._choose(pipeline)

        self.ready.append(looked)

    def _dispatch(self, pipeline: _Pipeline) -> None:
        """The wait resumes."""
        pipeline.looking = False
        self.ready.append(lambda _: self._choose(pipeline))

    def _choose(self, pipeline: _Pipeline) -> None:
        """``choose`` chooses, and a task starts each run."""

        def start(now: int) -> None:
            count = min(len(pipeline.due), _MOST_QUEUED - len(pipeline.queued))
            for _number in range(count):
                self.ready.append(started)
            pipeline.next_run = max(now, pipeline.began + APART_SECONDS)

        def started(_: int) -> None:
            if pipeline.due:
                pipeline.queued.append(pipeline.due.popleft())
                self._start_runs(pipeline)

        self.ready.append(start)

    def _start_runs(self, pipeline: _Pipeline) -> None:
        while pipeline.queued and pipeline.active < ACTIVE_RUNS:
            pipeline.active += 1
            self._run_task(pipeline, pipeline.queued.popleft(), RUN_TASKS)

    def _run_task(self, pipeline: _Pipeline, since: int, left: int) -> None:
        def follow(now: int) -> None:
            if left > 1:
                self._run_task(pipeline, since, left - 1)
                return
            pipeline.active -= 1
            self.waits.append((now, now - since))
            self._start_runs(pipeline)

        self.ready.append(follow)


def simulate(load: Load, limits: Limits, seconds: int = 4 * 3_600) -> Result:
    """Simulate some hours.

    Args:
        load: The partitions.
        limits: What serves them.
        seconds: How long.
    """
    return _Simulation(load, limits, seconds).run()
