"""Brings the embedded cloud up and down, reports its status, and runs it in the foreground."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import psutil

from localcloud import images, processes
from localcloud.images import ImagesError
from localcloud.processes import CloudError
from localcloud.services import Service, all_services
from localcloud.settings import Settings

_START_SECONDS = 60.0
_LOCK_SECONDS = 120.0
_LOOK_SECONDS = 0.1


class SignalledError(Exception):
    """SIGINT or SIGTERM arrived; what this command started is stopped again."""


@dataclass(frozen=True)
class ServiceStatus:
    """The status of one service; ``pid`` is None if it doesn't run."""

    name: str
    endpoint: str
    pid: int | None
    healthy: bool


def up(settings: Settings) -> tuple[ServiceStatus, ...]:
    """Start the services that don't run yet, and wait until both are healthy.

    Raises:
        CloudError: The images can't be used, a port is taken, a service ended or isn't healthy in time. What was
            started is stopped again.
        SignalledError: A signal arrived. What was started is stopped again.
    """
    with _lock(settings), _signals() as interrupted:
        _start_missing(settings, interrupted)
    return status(settings)


def down(settings: Settings) -> tuple[str, ...]:
    """Stop the recorded processes and no others, and return the names of those that ran."""
    if not settings.state.exists():
        return ()
    with _lock(settings):
        return _stop_recorded(settings)


def status(settings: Settings) -> tuple[ServiceStatus, ...]:
    """Return the status of each service."""
    return tuple(_status(service) for service in all_services(settings))


def run(settings: Settings) -> None:
    """Run both services in the foreground until a signal arrives, then stop them.

    Raises:
        CloudError: As for `up`; also if a service already runs, or ends by itself.
        SignalledError: As for `up`; after the start, a signal is the end that `run` waits for.
    """
    services = all_services(settings)
    with _signals() as interrupted:
        with _lock(settings):
            for service in services:
                if (process := processes.running(service)) is not None:
                    raise CloudError(
                        f"{service.name} already runs (pid {process.pid}) with state in {settings.state}; "
                        "stop it with `localcloud down`"
                    )
            _start_missing(settings, interrupted)
        try:
            _watch(services, interrupted)
        finally:
            _stop_recorded(settings)


def _watch(services: tuple[Service, ...], interrupted: threading.Event) -> None:
    while not interrupted.wait(_LOOK_SECONDS):
        for service in services:
            if processes.running(service) is None:
                raise CloudError(f"{service.name} ended by itself; see {service.log}")


def _start_missing(settings: Settings, interrupted: threading.Event) -> None:
    _require_usable_images(settings)
    started: list[tuple[Service, psutil.Process]] = []
    services = all_services(settings)
    missing = [service for service in services if processes.running(service) is None]
    for service in services:
        if service in missing:
            processes.require_free_port(service)
        else:
            _require_same_port(service)
    try:
        for service in missing:
            started.append((service, processes.spawn(service)))
        for service in services:
            _await_health(service, interrupted)
    except BaseException:
        for service, process in reversed(started):
            processes.stop(service, process)
        raise


def _require_usable_images(settings: Settings) -> None:
    try:
        images.parse(settings.images)
    except ImagesError as error:
        raise CloudError(str(error)) from error


def _require_same_port(service: Service) -> None:
    record = processes.recorded(service)
    if record is not None and record.port != service.port:
        raise CloudError(
            f"{service.name} already runs (pid {record.pid}) on port {record.port}, not {service.port}; "
            "stop it with `localcloud down` first"
        )


def _await_health(service: Service, interrupted: threading.Event) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not processes.healthy(service):
        _require_alive(service)
        if time.monotonic() > deadline:
            raise CloudError(f"{service.name} isn't healthy after {_START_SECONDS:.0f} s; see {service.log}")
        if interrupted.wait(_LOOK_SECONDS):
            raise SignalledError
    _require_alive(service)  # otherwise another process has answered on its port


def _require_alive(service: Service) -> None:
    if processes.running(service) is None:
        raise CloudError(f"{service.name} died while starting; see {service.log}")


def _stop_recorded(settings: Settings) -> tuple[str, ...]:
    stopped = []
    for service in reversed(all_services(settings)):
        process = processes.running(service)
        if process is not None:
            processes.stop(service, process)
            stopped.append(service.name)
        service.record.unlink(missing_ok=True)
    return tuple(stopped)


def _status(service: Service) -> ServiceStatus:
    process, record = processes.running(service), processes.recorded(service)
    if process is not None and record is not None:
        service = dataclasses.replace(service, port=record.port)  # it runs where it was started
    return ServiceStatus(
        name=service.name,
        endpoint=service.endpoint,
        pid=None if process is None else process.pid,
        healthy=process is not None and processes.healthy(service),
    )


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, so that neither interrupts a start between its steps."""
    interrupted = threading.Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        interrupted.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    settings.state.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _LOCK_SECONDS
    with settings.lock.open("w") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise CloudError(
                        f"another localcloud command has held {settings.lock} for {_LOCK_SECONDS:.0f} s; "
                        "end it and try again"
                    ) from error
                time.sleep(_LOOK_SECONDS)
        yield
