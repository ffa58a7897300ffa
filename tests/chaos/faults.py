"""Which faults strike which requests: by rules, and by a seed that replays them.

What a rule does to the n-th request that it is about depends on the seed, the rule and n alone, so the same seed makes
the same schedule, however the threads of a client interleave.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import parse_qs, unquote, urlsplit

import psutil

_SERVICES = {"AmazonSQS": "sqs", "Kinesis_20131202": "kinesis"}


@dataclass(frozen=True)
class Refuse:
    """The service answers with an error, and does nothing: S3 in XML, the others in AWS's JSON protocol."""

    status: int
    code: str


@dataclass(frozen=True)
class Delay:
    """The call happens only after so many seconds, whether its sender still waits or not."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """The connection is reset: before the call happened, or after it, so that only the answer is lost."""

    happened: bool


@dataclass(frozen=True)
class Kill:
    """The process that calls is killed (SIGKILL): before the call happened, or right after it."""

    happened: bool


@dataclass(frozen=True)
class Partial:
    """A batch is done in part: about ``share`` of its entries fail, with this code."""

    share: float
    code: str = "InternalError"
    sender_fault: bool = False


Fault = Refuse | Delay | Reset | Kill | Partial

SLOW_DOWN = Refuse(503, "SlowDown")
UNAVAILABLE = Refuse(503, "ServiceUnavailable")
DISK_FULL = Refuse(507, "InsufficientStorage")
THROTTLED = Refuse(400, "RequestThrottled")
TOO_FAST = Refuse(400, "ThrottlingException")


@dataclass(frozen=True)
class Rule:
    """When a fault strikes.

    ``calls`` is a pattern of ``service:Action bucket/key``, as in ``s3:PutObject */part-*`` or ``sqs:*``.

    Of the calls that fit, ``rate`` are struck, ``burst`` in a row at a time; ``after`` spares the first ones, ``times``
    ends it after so many.
    """

    calls: str
    fault: Fault
    rate: float = 1.0
    burst: int = 1
    after: int = 0
    times: int | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """``headers`` are named in lower case: a client may write their names in either.

    ``caller`` is who may be killed for it, if the schedule kills.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    caller: psutil.Process | None = None

    @property
    def service(self) -> str:
        target = self.headers.get("x-amz-target", "")
        return _SERVICES.get(target.split(".")[0], target.split(".")[0]) if target else "s3"

    @property
    def action(self) -> str:
        target = self.headers.get("x-amz-target", "")
        if target:
            return target.split(".")[1]
        if self.method == "GET" and "list-type" in parse_qs(urlsplit(self.path).query):
            return "ListObjectsV2"
        return f"{self.method.capitalize()}Object"

    def __str__(self) -> str:
        return f"{self.service}:{self.action} {unquote(urlsplit(self.path).path).strip('/')}"


class Schedule:
    """Which fault, if any, strikes a request: that of the first rule that strikes it."""

    def __init__(self, seed: int, rules: Sequence[Rule]) -> None:
        self.injected: Counter[Fault] = Counter()
        self.kills = any(isinstance(rule.fault, Kill) for rule in rules)
        self._seed, self._rules = seed, rules
        self._seen: Counter[int] = Counter()
        self._struck: Counter[int] = Counter()
        self._lock = threading.Lock()

    def strike(self, request: Request) -> tuple[Fault, random.Random] | None:
        """Return the fault, and the random numbers by which it chooses what it strikes within the request."""
        with self._lock:
            for number, rule in enumerate(self._rules):
                if fnmatchcase(str(request), rule.calls) and (struck := self._struck_by(number, rule)):
                    return struck
        return None

    def _struck_by(self, number: int, rule: Rule) -> tuple[Fault, random.Random] | None:
        nth, self._seen[number] = self._seen[number], self._seen[number] + 1
        if nth < rule.after or self._struck[number] == rule.times:
            return None
        if random.Random(f"{self._seed}/{number}/{nth // rule.burst}").random() >= rule.rate:
            return None
        self._struck[number] += 1
        self.injected[rule.fault] += 1
        return rule.fault, random.Random(f"{self._seed}/{number}/entries/{nth}")
