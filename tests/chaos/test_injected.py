"""Real flights through a cloud that refuses, stalls, hangs up and does half of a request (P1 to P3).

The drain does not notice a fault that botocore's own retries overcome; a longer one fails it with one clear line, and
the next drain completes what it left.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.chaos.conftest import Flights, MakeTrial
from tests.chaos.faults import (
    DISK_FULL,
    SLOW_DOWN,
    THROTTLED,
    TOO_FAST,
    UNAVAILABLE,
    Delay,
    Partial,
    Refuse,
    Reset,
    Rule,
)
from tests.chaos.proxy import Proxy
from tests.chaos.seeds import seeded
from tests.chaos.trial import TROUBLE, Trial, is_one_line
from tests.draining import backlog

from localcloud.testing.waiting import wait_for
from sluice.landing.parts import Limits

HANDLE_EXPIRED = Partial(1.0, "ReceiptHandleIsInvalid", sender_fault=True)
EVERYTHING = (
    Rule("s3:PutObject */part-*", SLOW_DOWN, rate=0.15, burst=2),
    Rule("s3:PutObject *", Reset(happened=True), rate=0.15),
    Rule("s3:*", UNAVAILABLE, rate=0.1, burst=2),
    Rule("sqs:DeleteMessageBatch *", Partial(0.3), rate=0.3),
    Rule("sqs:SendMessageBatch *", Partial(0.3), rate=0.1),
    Rule("sqs:*", Reset(happened=True), rate=0.02),
    Rule("sqs:*", TOO_FAST, rate=0.05),
)
# Each kind of fault alone, at a rate that the retries sometimes overcome and sometimes do not.
KINDS = {
    "slow-down": [Rule("s3:*", SLOW_DOWN, rate=0.4, burst=2)],
    "unavailable": [Rule("*", UNAVAILABLE, rate=0.2)],
    "internal-error": [Rule("s3:PutObject *", Refuse(500, "InternalError"), rate=0.3)],
    "throttled": [Rule("sqs:*", THROTTLED, rate=0.2, burst=2)],
    "too-fast": [Rule("sqs:*", TOO_FAST, rate=0.2, burst=2)],
    "timed-out": [Rule("s3:*", Delay(3.5), rate=0.15)],
    "deletes-timed-out": [Rule("sqs:DeleteMessageBatch *", Delay(3.5), rate=0.1)],
    "reset": [Rule("*", Reset(happened=False), rate=0.2)],
    "unheard-put": [Rule("s3:PutObject *", Reset(happened=True), rate=0.4)],
    "unheard-receive": [Rule("sqs:ReceiveMessage *", Reset(happened=True), rate=0.2)],
    "unheard-delete": [Rule("sqs:DeleteMessageBatch *", Reset(happened=True), rate=0.4)],
    "deleted-in-part": [Rule("sqs:DeleteMessageBatch *", Partial(0.4), rate=0.7)],
    "sent-in-part": [Rule("sqs:SendMessageBatch *", Partial(0.4), rate=0.7)],
    "disk-full": [Rule("s3:PutObject *", DISK_FULL, rate=0.3, burst=2)],
}


def drain_until_empty(trial: Trial, proxy: Proxy, read_seconds: float | None = None) -> list[Exception]:
    """Drain again and again, as the DAG does; return the error of each drain that failed."""
    errors: list[Exception] = []

    def empty() -> bool:
        try:
            return trial.drain(proxy.url, Limits(messages=200), read_seconds).empty
        except TROUBLE as error:
            errors.append(error)
            return False

    wait_for(empty, seconds=120, what="a drain that leaves the queue empty")
    return errors


@seeded(1)
def test_all_kinds_of_faults_at_once_lose_nothing(trial: MakeTrial, flights: Flights, seed: int) -> None:
    here = trial(visibility_seconds=4)
    with Proxy(here.cloud.endpoint_url, seed, *EVERYTHING) as proxy:
        here.send(flights(150), proxy.url)
        drain_until_empty(here, proxy)

    assert here.finish().conformed == 150
    assert len(proxy.injected) >= 3, proxy.injected


@pytest.mark.chaos
@seeded(3, first=1)
def test_all_kinds_of_faults_at_once_lose_nothing_for_more_seeds(trial: MakeTrial, flights: Flights, seed: int) -> None:
    here = trial(visibility_seconds=4)
    with Proxy(here.cloud.endpoint_url, seed, *EVERYTHING) as proxy:
        here.send(flights(800), proxy.url)
        drain_until_empty(here, proxy)

    assert here.finish().conformed == 800


@pytest.mark.chaos
@seeded(1)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_alone_loses_nothing(trial: MakeTrial, flights: Flights, kind: str, seed: int) -> None:
    here = trial(visibility_seconds=4)
    with Proxy(here.cloud.endpoint_url, seed, *KINDS[kind]) as proxy:
        here.send(flights(400), proxy.url)
        drain_until_empty(here, proxy, read_seconds=3 if "timed-out" in kind else None)

    counts = here.finish()

    assert counts.conformed == 400
    assert proxy.injected, "the fault did strike"


OUTLASTING = {
    "the disk is full": Rule("s3:PutObject *", DISK_FULL),
    "receives are denied": Rule("sqs:ReceiveMessage *", Refuse(403, "AccessDenied"), after=3),
}
ALSO_OUTLASTING = {
    "the manifest is refused": Rule("s3:PutObject *_manifest.json", Refuse(403, "AccessDenied")),
    "puts are slowed down": Rule("s3:PutObject *", SLOW_DOWN),
    "the queue throttles": Rule("sqs:ReceiveMessage *", THROTTLED, after=3),
    "nothing is deleted": Rule("sqs:DeleteMessageBatch *", Partial(1.0)),
    "deletes are reset": Rule("sqs:DeleteMessageBatch *", Reset(happened=False)),
    "no answer to a put arrives": Rule("s3:PutObject *", Reset(happened=True)),
}


@pytest.mark.parametrize("what", OUTLASTING)
def test_fault_beyond_the_retries_is_one_line_and_the_next_drain_lands_all(
    trial: MakeTrial, flights: Flights, what: str
) -> None:
    outlast(trial(visibility_seconds=1), flights, OUTLASTING[what])


@pytest.mark.chaos
@pytest.mark.parametrize("what", ALSO_OUTLASTING)
def test_other_faults_beyond_the_retries_are_one_line_and_the_next_drain_lands_all(
    trial: MakeTrial, flights: Flights, what: str
) -> None:
    outlast(trial(visibility_seconds=1), flights, ALSO_OUTLASTING[what])


def outlast(here: Trial, flights: Flights, rule: Rule) -> None:
    here.send(flights(100))
    with Proxy(here.cloud.endpoint_url, 0, rule) as proxy, pytest.raises(TROUBLE) as refused:
        here.drain(proxy.url)

    assert is_one_line(refused.value)
    assert here.finish().conformed == 100


# A slow flush, and messages whose visibility would be over before it is


def slow_flush(here: Trial, flights: Flights, *rules: Rule) -> None:
    """Run two drains on a queue with a visibility of 3 seconds; each first part takes 5 seconds to be written."""
    here.send(flights(200))
    slow = Rule("s3:PutObject */part-*", Delay(5), times=2)
    with Proxy(here.cloud.endpoint_url, 0, slow, *rules) as proxy, ThreadPoolExecutor(2) as drains:
        failed = [drains.submit(here.drain, proxy.url).exception(timeout=60) for _ in range(2)]
        assert all(is_one_line(error) for error in failed if error)
        assert proxy.injected[slow.fault]


def test_no_message_is_redelivered_during_a_slow_flush(trial: MakeTrial, flights: Flights) -> None:
    """The heartbeat keeps held messages invisible to the others, so each is landed once."""
    here = trial(visibility_seconds=3)
    slow_flush(here, flights)

    assert backlog(here.sqs, here.queue) == 0
    assert here.conclude().raw == 200


@pytest.mark.chaos
@pytest.mark.parametrize(
    "beat",
    [
        Rule("sqs:ChangeMessageVisibility* *", Refuse(403, "AccessDenied")),
        Rule("sqs:ChangeMessageVisibility* *", Reset(happened=False)),
        Rule("sqs:ChangeMessageVisibilityBatch *", Partial(1.0)),
        Rule("sqs:ChangeMessageVisibilityBatch *", HANDLE_EXPIRED),
    ],
    ids=["denied", "reset", "not done", "expired"],
)
def test_messages_redelivered_for_lack_of_a_heartbeat_count_once(
    trial: MakeTrial, flights: Flights, beat: Rule
) -> None:
    here = trial(visibility_seconds=3)
    slow_flush(here, flights, beat)

    counts = here.finish()

    assert counts.conformed == 200
    assert counts.raw > 200, "messages were redelivered"


@pytest.mark.chaos
def test_messages_with_expired_handles_are_redelivered_and_count_once(trial: MakeTrial, flights: Flights) -> None:
    """AWS refuses to delete a FIFO message by a handle whose time is over (the embedded cloud does not)."""
    here = trial(visibility_seconds=2)
    here.send(flights(200))
    with Proxy(here.cloud.endpoint_url, 0, Rule("sqs:DeleteMessageBatch *", HANDLE_EXPIRED, times=20)) as proxy:
        errors = drain_until_empty(here, proxy)

    assert all(map(is_one_line, errors))
    assert here.finish().conformed == 200


# Batches done in part


def test_delete_that_fails_in_part_is_completed(trial: MakeTrial, flights: Flights) -> None:
    """By the drain itself, entry by entry: it needs no redelivery, which here would take ten minutes."""
    here = trial(visibility_seconds=600)
    here.send(flights(60))
    with Proxy(here.cloud.endpoint_url, 0, Rule("sqs:DeleteMessageBatch *", Partial(0.4), rate=0.6)) as proxy:
        assert here.drain(proxy.url).empty

    assert proxy.injected
    assert here.conclude().raw == 60


# Small flushes


def test_small_flushes_count_once_when_the_answer_to_their_record_is_lost(trial: MakeTrial, flights: Flights) -> None:
    """A few aircraft give ten messages at a time; every second record of them is confirmed only by a second try."""
    here = trial()
    here.send(flights(60))
    lost = Rule("s3:PutObject *_manifest.json", Reset(happened=True), rate=0.5)
    with Proxy(here.cloud.endpoint_url, 0, lost) as proxy:
        errors = drain_until_empty(here, proxy)
        here.close(proxy.url)

    counts = here.finish()

    assert errors == []
    assert (counts.raw, counts.conformed) == (60, 60)
    assert proxy.injected


# Closing


@seeded(1)
def test_two_closers_and_a_drain_lose_nothing_while_answers_are_lost(
    trial: MakeTrial, flights: Flights, seed: int
) -> None:
    """What the drain lands is in the partition as first content or as late data, whichever is first.

    What the closers write is under way for two seconds, in which the drain records what they did not see.
    """
    here = trial(visibility_seconds=4)
    events = flights(200)
    here.send(events[::2])
    here.drain()
    here.send(events[1::2])
    late = Rule("s3:PutObject *_manifest.json", Delay(2), times=4)
    lost = Rule("s3:PutObject *_manifest.json", Reset(happened=True), rate=0.5), Rule("s3:*", SLOW_DOWN, rate=0.1)
    cloud = here.cloud.endpoint_url
    with Proxy(cloud, seed, late) as slow, Proxy(cloud, seed, *lost) as lossy, ThreadPoolExecutor(3) as pool:
        closers = [pool.submit(here.close, slow.url) for _ in range(2)]
        wait_for(lambda: slow.injected, what="a closer that writes")
        errors = pool.submit(drain_until_empty, here, lossy).result(timeout=120)
        ranges = {closer.result(timeout=60) for closer in closers}

    assert ranges == {"dt=2013-01-02..dt=2013-01-03"}
    assert all(map(is_one_line, errors))
    assert here.finish().conformed == 200
