"""Runs the events of asynchronous invocations: tries again, and sends to destinations what came of them.

Lambda waits a minute after the first error and two after the second, and after a throttle a second, twice as long each
time, up to five minutes. Here a minute is a second, and a throttle's waits go from a tenth of a second to five seconds,
so that tests need not wait.

Source: AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation" and "Capturing
records of Lambda asynchronous invocations".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ministack.services import lambda_svc

from localcloud.emulator.clients import Client
from localcloud.emulator.functions import destinations
from localcloud.emulator.functions.destinations import Delivered
from localcloud.emulator.functions.events import Event, EventFile
from localcloud.emulator.functions.executor import Executor
from localcloud.emulator.functions.outcome import THROTTLED, Invocation

DUPLICATES_TAG = "localcloud:deliver-events"
"""The tag of a function whose events are delivered twice, if its value is `TWICE`: as Lambda does now and then."""
TWICE = "twice"

_ERROR_WAIT_SECONDS = (1.0, 2.0)
_FIRST_THROTTLE_SECONDS = 0.1
_LONGEST_THROTTLE_SECONDS = 5.0
_MOST_AT_ONCE = 32
_LONGEST_WAIT_SECONDS = 60.0
_DEFAULT_RETRIES = 2
_DEFAULT_AGE_SECONDS = 21600

logger = logging.getLogger("functions")


class Delivery:
    """Runs events in threads of its own, from the start on.

    Args:
        file: Has the events, also those of an earlier cloud.
        executor: Runs their invocations.
        client: Returns clients of this cloud, for destinations.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(
        self, file: EventFile, executor: Executor, client: Client, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._executor = executor
        self._client = client
        self._clock = clock
        self._running: set[int] = set()
        self._changed = threading.Condition()

    def start(self) -> None:
        """Start to run events; functions find a cloud that doesn't answer yet, and boto3 tries again."""
        threading.Thread(target=self._run, name="functions-events", daemon=True).start()

    def accept(self, request_id: str, arn: str, payload: bytes) -> None:
        """Accept an event; it is in the file when this returns.

        Args:
            request_id: The request id of all its invocations.
            arn: The function, with the qualifier if there is one.
            payload: The event as JSON.

        Raises:
            sqlite3.Error: It could not be written; it is not accepted.
        """
        self._file.add(request_id, arn, payload, self._clock())
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                try:
                    self._start_due()
                    self._changed.wait(self._wait_seconds())
                except Exception:
                    logger.exception("the events of asynchronous invocations can't be read; this is tried again")
                    self._changed.wait(_LONGEST_THROTTLE_SECONDS)

    def _start_due(self) -> None:
        for event in self._file.due(self._clock(), self._running, _MOST_AT_ONCE - len(self._running)):
            self._running.add(event.id)
            threading.Thread(target=self._attempt, args=(event,), name="functions-event", daemon=True).start()

    def _wait_seconds(self) -> float:
        due = self._file.next_due(self._running)
        if due is None or len(self._running) >= _MOST_AT_ONCE:
            return _LONGEST_WAIT_SECONDS
        return min(max(0.0, due - self._clock()), _LONGEST_WAIT_SECONDS)

    def _attempt(self, event: Event) -> None:
        try:
            self._deliver(event)
        except Exception:
            logger.exception("%s: an event for %s was not delivered; it is tried again", event.request_id, event.arn)
            time.sleep(_LONGEST_THROTTLE_SECONDS)  # it is still due; the file may not be writable
        finally:
            with self._changed:
                self._running.discard(event.id)
                self._changed.notify()

    def _deliver(self, event: Event) -> None:
        record, config, _ = lambda_svc._get_func_record_for_ref_in_scope(
            event.arn, account_id=event.arn.split(":")[4], region=event.arn.split(":")[3]
        )
        if record is None or config is None:
            self._file.remove(event)  # the function was deleted
            return
        settings = _settings(record)
        if record.get("concurrency") == 0:
            self._end(event, record, settings, Delivered("ZeroReservedConcurrency", event.attempts, None))
        elif self._clock() - event.accepted > settings.get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS):
            self._end(event, record, settings, Delivered("EventAgeExceeded", event.attempts, None))
        else:
            self._invoke(event, record, settings)

    def _invoke(self, event: Event, record: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        invocation = Invocation(event.request_id, event.payload, event.arn)
        outcome = self._executor.execute(record, invocation)
        if outcome.status == THROTTLED:
            self._try_again(replace(event, throttles=event.throttles + 1), _throttle_wait(event.throttles))
            return
        if record.get("tags", {}).get(DUPLICATES_TAG) == TWICE:
            self._executor.execute(record, invocation)
        attempts = event.attempts + 1
        if not outcome.has_failed:
            self._end(event, record, settings, Delivered("Success", attempts, outcome))
        elif event.attempts >= settings.get("MaximumRetryAttempts", _DEFAULT_RETRIES):
            self._end(event, record, settings, Delivered("RetriesExhausted", attempts, outcome))
        else:
            waiting = replace(event, attempts=attempts, throttles=0)
            self._try_again(waiting, _ERROR_WAIT_SECONDS[min(event.attempts, len(_ERROR_WAIT_SECONDS) - 1)])

    def _try_again(self, event: Event, seconds: float) -> None:
        self._file.replace(replace(event, due=self._clock() + seconds))

    def _end(self, event: Event, record: Mapping[str, Any], settings: Mapping[str, Any], delivered: Delivered) -> None:
        destinations.send(self._client, event, record, settings.get("DestinationConfig") or {}, delivered)
        self._file.remove(event)


def _settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the function's EventInvokeConfig; a template names it by the qualifier ``$LATEST``."""
    configs = record.get("event_invoke_configs") or {}
    return configs.get("") or configs.get("$LATEST") or {}


def _throttle_wait(throttles: int) -> float:
    return min(_FIRST_THROTTLE_SECONDS * 2.0**throttles, _LONGEST_THROTTLE_SECONDS)
