"""An attempt is one process's, and its end stays on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.draining import workspace_of
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, message, reading

from sluice.compute.attempts import Attempt, Claim, Outcome, Result, Work, find_work
from sluice.compute.requests import Size
from sluice.declaration import Input, Step
from sluice.declaration.pipeline import Pipeline
from sluice.errors import RunInterrupted, SluiceError, StepOutgrown
from sluice.lake.store import Lake
from sluice.steps.plan import Plan, plan

DAY = "2013-01-01"
SIZE = Size(kind="Lambda", memory_mb=512)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
ATTEMPT = Attempt("conform", "0" * 64, 1)


def claim(by: str = "one", until: datetime = LATER) -> Claim:
    return Claim(by=by, size=SIZE, until=until, log="group:stream")


def result(outcome: Outcome = "done", *log: str) -> Result:
    return Result(outcome=outcome, message="it failed", size=SIZE, summary={"changed": 1}, log=log)


def test_first_claim_is_the_only_one(lake: Lake) -> None:
    assert ATTEMPT.claimed(lake) is None
    assert ATTEMPT.claim(lake, claim("one"))
    assert not ATTEMPT.claim(lake, claim("two"))
    assert ATTEMPT.claimed(lake) == claim("one")


def test_claim_whose_answer_was_lost_is_its_own(lake: Lake) -> None:
    """boto3 repeats the put, which then finds the claim."""
    ATTEMPT.claim(lake, claim("one"))

    assert ATTEMPT.claim(lake, claim("one"))


def test_first_result_stays(lake: Lake) -> None:
    assert ATTEMPT.result(lake) is None

    ATTEMPT.finish(lake, result("time"))
    ATTEMPT.finish(lake, result("done"))

    assert ATTEMPT.result(lake) == result("time")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [("failed", SluiceError), ("interrupted", RunInterrupted), ("memory", StepOutgrown), ("time", StepOutgrown)],
)
def test_result_raises_what_it_is(outcome: Outcome, kind: type[SluiceError]) -> None:
    with pytest.raises(SluiceError) as raised:
        result(outcome, "one", "", "  two   words").unwrap()

    assert type(raised.value) is kind
    assert str(raised.value) == "it failed; its log ends: one | two words"


def test_end_of_the_log_is_short(lake: Lake) -> None:
    with pytest.raises(SluiceError) as raised:
        result("failed", *["x" * 400] * 20).unwrap()

    assert len(str(raised.value)) < 600


def test_done_work_tells_what_it_needed() -> None:
    done = result().model_copy(update={"seconds": 1.25, "peak_mb": 1234, "dollars": 0.0000103})

    assert done.unwrap() == {"changed": 1, "ran": "on Lambda with 512 MB: 1.2 s, at most 1,234 MB, 0.000010 USD"}


@pytest.fixture
def due(lake: Lake, toy_pipeline: Pipeline) -> str:
    """The digest of a step's work over a day."""
    put_raw(lake, EVENTS, DAY, [message(reading("a", f"{DAY}T07:00:00+00:00"))])
    return plan(workspace_of(lake, toy_pipeline), "conform", f"dt={DAY}").digest


def test_work_goes_on_after_the_attempts_that_have_ended(lake: Lake, toy_pipeline: Pipeline, due: str) -> None:
    for number, outcome in enumerate(("interrupted", "memory"), 1):
        Attempt("conform", due, number).finish(lake, result(outcome))  # type: ignore[arg-type]
    Attempt("conform", due, 3).claim(lake, claim())

    work = find_work(workspace_of(lake, toy_pipeline), "conform", f"dt={DAY}")

    assert [each.outcome for each in work.ended] == ["interrupted", "memory"]
    assert (work.next.number, work.claim) == (3, claim())


def test_claim_that_has_left_no_result_in_its_time_has_ended(lake: Lake, toy_pipeline: Pipeline, due: str) -> None:
    Attempt("conform", due, 1).claim(lake, claim(until=lake.now() - timedelta(seconds=1)))

    work = find_work(workspace_of(lake, toy_pipeline), "conform", f"dt={DAY}")

    assert [each.outcome for each in work.ended] == ["interrupted"]
    assert work.ended[0].message.startswith("one left no result on Lambda with 512 MB until 20")
    assert (work.next.number, work.claim) == (2, None)


def test_work_that_fails_again_and_again_is_given_up(lake: Lake, toy_pipeline: Pipeline, due: str) -> None:
    for number in range(1, 21):
        Attempt("conform", due, number).finish(lake, result("failed"))
    work = find_work(workspace_of(lake, toy_pipeline), "conform", f"dt={DAY}")

    with pytest.raises(SluiceError, match=rf"over dt={DAY} has failed 20 times with the same inputs and code, at last"):
        _ = work.next


STEP = Step("doubled", run="steps:doubled", reads=(Input("conform"),))


def work(outcomes: Sequence[Outcome]) -> Work:
    ended = [Result(outcome=outcome, message=f"no {outcome}", size=SIZE) for outcome in outcomes]
    return Work("dt=2013-01-01", Plan(STEP, "0" * 64, ()), ended, None)


def test_work_that_was_done_often_is_done_again() -> None:
    """Such as work whose code is changed and changed back."""
    assert work(["done"] * 30).next.number == 31
    assert work(["interrupted", "done"] * 19).next.number == 39


def test_work_that_has_failed_often_is_given_up_with_the_last_reason() -> None:
    assert work(["failed"] * 19).next.number == 20
    with pytest.raises(SluiceError, match=r"has failed 20 times .*, at last: no memory; change the step"):
        work([*["failed"] * 19, "memory", "done"]).next  # noqa: B018
