"""What a pipeline may declare; a mistake is reported when it is declared, before any call to AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sluice.conftest import Declare
from tests.sluice.toy import EVENTS, MESSAGES, MODULES, STREAM, TOY, toy

from sluice.declaration import Autoscaling, Conform, Deployment, Input, Network, Scoring, Serverless, Step, XGBoost
from sluice.declaration.loading import load_pipeline, load_pipelines, pipeline_names, resolve
from sluice.errors import DeclarationError
from sluice.lake.partitions import Calendar

CONFORM, DOUBLED, RUNNING = TOY.steps
SCORING = Scoring(keep=("value",))


def named(name: str) -> XGBoost:
    return XGBoost({"objective": "binary:logistic", "num_round": 1}, name=name)


def trained(**changes: Any) -> Mapping[str, Any]:
    return {"training": replace(TOY.training, **changes)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Toy"}, "pipeline name 'Toy' is not allowed"),
        ({"name": "t" * 25}, "use at most 24 of a-z"),
        ({"steps": (CONFORM, DOUBLED, replace(RUNNING, name="doubled"))}, "two datasets are called 'doubled'"),
        ({"steps": (CONFORM, replace(DOUBLED, name="weather"))}, "two datasets are called 'weather'"),
        ({"steps": (DOUBLED, CONFORM)}, "'doubled' reads 'conform', which nothing before it writes"),
        ({"steps": (CONFORM, replace(DOUBLED, name="models"))}, "the lake has a folder 'models'"),
        ({"steps": (Conform("conform", source="weather", contract="c:C"),)}, "conforms 'weather', which is no queue"),
        (
            {"steps": (CONFORM, replace(DOUBLED, reads=(Input("conform"), Input("conform", 2))))},
            "must read each dataset once",
        ),
        (
            {"steps": (CONFORM, replace(DOUBLED, fresh_within=timedelta(hours=1)), RUNNING)},
            r"step 'doubled' has fresh_within=1:00:00, but what it reads closes 1:00:00 after its end at the earliest",
        ),
        (
            {
                "sources": (replace(EVENTS, lateness=timedelta(hours=7)), TOY.sources[1]),
                "steps": (CONFORM, DOUBLED, replace(RUNNING, fresh_within=timedelta(hours=6))),
            },
            r"step 'running' has fresh_within=6:00:00, but what it reads closes 7:00:00 after .* make it longer",
        ),
        (trained(rows="nowhere"), "training reads 'nowhere', which is no step; name one of conform, doubled, running"),
        (trained(rows="events"), "training reads 'events', which is no step"),
        (trained(features=("value", "late")), "and not its own label"),
        (trained(features=("value", "value")), "name each feature once"),
        ({"deployment": Deployment("toy_late")}, "endpoint name 'toy_late' is not allowed"),
        ({"deployment": Deployment("e" * 47)}, "use at most 46 letters"),
        ({"deployment": Deployment("Toy-Late")}, "endpoint name 'Toy-Late' is not allowed.*in lower case"),
        ({"training": None}, "a deployment needs a training"),
        ({"training": None, "deployment": None, "scoring": SCORING}, "a scoring needs a training"),
        ({"scoring": replace(SCORING, name="running")}, "two datasets are called 'running'"),
        ({"scoring": replace(SCORING, name="events")}, "two datasets are called 'events'"),
        ({"scoring": replace(SCORING, name="models")}, "the lake has a folder 'models'"),
        ({"scoring": replace(SCORING, name="Scores")}, "dataset name 'Scores' is not allowed"),
        ({"scoring": replace(SCORING, rows="weather")}, "scoring reads 'weather', which is no step; name one of conf"),
        ({"scoring": Scoring(keep=("id", "score"))}, "keep has 'score', which is the name of a column of scores"),
        ({"scoring": replace(SCORING, approval=timedelta(days=1))}, "declare approval in deployment"),
        ({"kms_key": "alias/mine"}, "kms_key='alias/mine' is no ARN of a key; write it as 'arn:aws:kms:"),
        ({"kms_key": "arn:aws:kms:us-east-1:000000000000:alias/mine"}, "is no ARN of a key"),
        ({"tags": {"aws:team": "x"}}, "tag 'aws:team' is reserved"),
        ({"tags": {"sluice:pipeline": "x"}}, "tag 'sluice:pipeline' is reserved"),
        ({"tags": {"team": "x;y"}}, "tag 'team': 'x;y' is not allowed"),
        ({"tags": {"": "x"}}, "tag '': 'x' is not allowed"),
        ({"tags": {"team": "x" * 257}}, "at most 128 in the key and 256 in the value"),
        ({"tags": {f"tag{n}": "" for n in range(48)}}, "has 48 tags; AWS leaves room for 47"),
        ({"start": datetime(2013, 1, 1)}, "start and end need a time zone"),  # noqa: DTZ001
        ({"end": datetime(2013, 1, 1)}, "start and end need a time zone"),  # noqa: DTZ001
    ],
)
def test_wrong_declaration_is_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        toy(**changes)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("declare_it", "message"),
    [
        (
            lambda: Scoring(keep=("event_id")),
            "scoring: keep='event_id' must be a tuple; write it as keep=\\('event_id',",
        ),  # type: ignore[arg-type]
        (lambda: Scoring(), r"scoring: keep=\(\) must be a tuple"),
        (lambda: Scoring(keep=("a", "a")), "names a column twice"),
        (lambda: Scoring(keep=("a",), rows=""), "scoring: rows='' must be text"),
        (lambda: Scoring(keep=("a",), instance_type="m5"), "instance_type='m5' is none of SageMaker's"),
        (lambda: Scoring(keep=("a",), max_runtime=timedelta(0)), "max_runtime=.* from 1 seconds"),
        (lambda: Scoring(keep=("a",), approval=timedelta(days=29)), "approval=.* to 672 hours"),
        (lambda: replace(EVENTS, retention=timedelta(days=14)), "retention=.* from 60 seconds to 312 hours"),
        (lambda: replace(MESSAGES, retention=timedelta(days=8)), "retention=.* from 60 seconds to 168 hours"),
        (lambda: replace(EVENTS, retention=timedelta(seconds=59)), "source events: retention="),
        (lambda: replace(EVENTS, retention=7), "retention=7 must be a timedelta"),
        (lambda: replace(EVENTS, visibility_timeout=timedelta(seconds=29)), "from 30 seconds to 12 hours"),
        (lambda: replace(EVENTS, visibility_timeout=timedelta(hours=13)), "visibility_timeout="),
        (lambda: replace(EVENTS, visibility_timeout=timedelta(seconds=40.5)), "in whole seconds"),
        (lambda: replace(EVENTS, max_receives=0), "max_receives=0 must be a whole number from 1 to 1,000"),
        (lambda: replace(EVENTS, max_receives=True), "max_receives=True must be"),
        (lambda: replace(STREAM, shards=0), "source stream: shards=0 must be a whole number from 1 to 10,000"),
        (lambda: replace(STREAM, retention=timedelta(hours=23)), "from 24 hours to 8760 hours, in whole hours"),
        (lambda: replace(STREAM, retention=timedelta(hours=24.5)), "in whole hours"),
        (lambda: replace(STREAM, fan_out="yes"), "^source stream: fan_out='yes' must be True or False$"),
        (
            lambda: replace(STREAM, fan_out=True, reads_per_second=2),
            "^source stream: reads_per_second=2 has no effect with fan_out=True, because Kinesis pushes the records; ",
        ),
        (lambda: Network(("subnet-1",), ()), r"security_groups=\(\) must be 1 to 5 ids; write it as \('sg-"),
        (lambda: Network(("subnet-1",) * 17, ("sg-1",)), "must be 1 to 16 ids"),
        (lambda: Network("subnet-1", ("sg-1",)), "subnets='subnet-1' must be .*; write it as \\('subnet-"),  # type: ignore[arg-type]
        (lambda: Network(("sg-1",), ("sg-1",)), "subnets="),
        (lambda: Autoscaling(most=1, requests=60), "autoscaling: most=1 must be a whole number from 2 to 1,000"),
        (lambda: Autoscaling(most=4, requests=0), "autoscaling: requests=0 must be a whole number from 1"),
        (lambda: Autoscaling(4, 60, wait=timedelta(hours=2)), "autoscaling: wait=.* from 0 seconds to 1 hours"),
        (
            lambda: Deployment("e", instances=4, autoscaling=Autoscaling(most=4, requests=60)),
            "autoscaling with most=4 must be above instances=4, the fewest",
        ),
        (
            lambda: Deployment("e", serverless=Serverless(), autoscaling=Autoscaling(most=4, requests=60)),
            "autoscaling needs instances, and serverless has none",
        ),
    ],
)
def test_declaration_that_aws_would_refuse_is_refused_in_one_line(
    declare_it: Callable[[], object], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        declare_it()
    assert "\n" not in str(refused.value)


def test_pipeline_may_end_at_its_lake_or_at_its_model() -> None:
    lake, model = toy(training=None, deployment=None), toy(deployment=None)

    assert (TOY.require_training(), model.require_training()) == (TOY.training, TOY.training)
    assert TOY.require_deployment() == TOY.deployment
    for require in (lake.require_training, lake.require_deployment):
        with pytest.raises(DeclarationError, match=r"^pipeline toy ends at its lake: .*; add a training to its decl"):
            require()
    with pytest.raises(DeclarationError, match=r"^pipeline toy has no endpoint: it declares no deployment; add one"):
        model.require_deployment()


def test_every_folder_of_the_lake_beside_the_steps_is_reserved() -> None:
    """As in the layout of ``sluice.lake.store``; the announcements are markers of ``sluice.completions``."""
    for folder in ("announced", "batches", "deployments", "models", "quarantine", "raw", "snapshots"):
        with pytest.raises(DeclarationError, match=f"has a folder '{folder}'"):
            toy(steps=(CONFORM, Step(folder, run="s:s", reads=(Input("conform"),))))


@given(st.from_regex(r"[a-z][a-z0-9_]{0,23}", fullmatch=True), st.from_regex(r"[a-z][a-z0-9_]{0,18}", fullmatch=True))
def test_longest_names_leave_room_for_what_sagemaker_adds(pipeline: str, candidate: str) -> None:
    """63 characters: the two names, 16 digits of fingerprint, and the attempt."""
    declared = toy(name=pipeline, **trained(candidates=(named(candidate),)))

    assert len(f"{declared.name}-{declared.training.candidates[0].name}-{'f' * 16}-5") <= 63


def test_sources_and_steps_are_found_by_name() -> None:
    assert [source.name for source in TOY.event_sources] == ["events"]
    assert TOY.source("weather") is TOY.sources[1]
    assert TOY.source("conform") is None
    assert TOY.step("doubled") is DOUBLED
    with pytest.raises(DeclarationError, match="has no step 'tripled'; it has conform, doubled, running"):
        TOY.step("tripled")


PIPELINE = "from tests.sluice.toy import toy\nPIPELINE = toy(name={name!r})\n"


def test_folder_is_a_pipeline(declare: Declare) -> None:
    declare("second_toy", {**MODULES, "pipeline": PIPELINE.format(name="second_toy")})

    assert "second_toy" in pipeline_names()
    loaded = load_pipeline("second_toy")
    assert loaded == toy(name="second_toy")
    assert resolve(loaded, "contract:Reading").__name__ == "Reading"
    assert loaded in load_pipelines()[0]


def test_folder_needs_no_init(declare: Declare) -> None:
    """People write ``pipeline.py``; such a folder is never ignored silently."""
    folder = declare("second_toy", {**MODULES, "pipeline": PIPELINE.format(name="second_toy")})
    (folder / "__init__.py").unlink()

    loaded = load_pipeline("second_toy")

    assert loaded in load_pipelines()[0]
    assert resolve(loaded, "contract:Reading").__name__ == "Reading"


def test_pipeline_that_cannot_be_loaded_stops_no_other(declare: Declare) -> None:
    declare("broken", {"pipeline": "from pipelines.broken import parts\n", "parts": "1 / 0\n"})
    declare("second_toy", {**MODULES, "pipeline": PIPELINE.format(name="second_toy")})

    pipelines, errors = load_pipelines()

    assert "second_toy" in [pipeline.name for pipeline in pipelines]
    assert [str(error) for error in errors] == [
        "pipeline broken can't be loaded: pipelines/broken/parts.py line 1: ZeroDivisionError: division by zero; "
        "correct it"
    ]


def test_unknown_partition_length_is_refused() -> None:
    with pytest.raises(DeclarationError, match="pipeline toy: every='year' is no partition length; use hour or day"):
        toy(every="year")


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("every", "zone", "start", "message"),
    [
        ("week", "UTC", datetime(2013, 1, 15, tzinfo=UTC), "start of the week, which is 2013-01-14T00:00:00.00:00$"),
        ("month", "UTC", datetime(2013, 1, 15, tzinfo=UTC), "start of the month, which is 2013-01-01T00:00:00.00:00$"),
        ("day", "America/New_York", datetime(2013, 1, 1, tzinfo=UTC), "use zoneinfo.ZoneInfo.'America/New_York'.$"),
        ("day", "America/New_York", datetime(2013, 1, 1, 5, tzinfo=UTC), "is not America/New_York, but partitions are"),
        ("day", "America/New_York", datetime(2013, 1, 1, 7, tzinfo=NEW_YORK), "which is 2013-01-01T00:00:00-05:00$"),
        ("week", "America/New_York", datetime(2013, 3, 12, tzinfo=NEW_YORK), "which is 2013-03-11T00:00:00-04:00$"),
        ("day", "America/New_York", datetime(2013, 1, 1), "need a time zone; use zoneinfo.ZoneInfo"),  # noqa: DTZ001
        (
            "hour",
            "America/New_York",
            datetime(2013, 1, 1, tzinfo=NEW_YORK),
            "hours are those of UTC; leave out",
        ),
        ("day", "New York", datetime(2013, 1, 1, tzinfo=UTC), "zone='New York' must be the name of a time zone"),
        (
            "day",
            None,
            datetime(2013, 1, 1, tzinfo=UTC),
            "zone=None must be the name of a time zone, such as",
        ),
        ("day", "Europe", datetime(2013, 1, 1, tzinfo=UTC), "zone='Europe' must be the name of a time zone"),
        ("day", "", datetime(2013, 1, 1, tzinfo=UTC), "zone='' must be the name of a time zone"),
        ("day", "../etc", datetime(2013, 1, 1, tzinfo=UTC), "zone='../etc' must be the name of a time zone"),
        ("day", "__init__.py", datetime(2013, 1, 1, tzinfo=UTC), "zone='__init__.py' must be the name of a time zone"),
        ("day", 5, datetime(2013, 1, 1, tzinfo=UTC), "zone=5 must be the name of a time zone"),
    ],
)
def test_zone_and_start_that_do_not_fit_are_named_in_one_line(
    every: str, zone: Any, start: datetime, message: str
) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        toy(every=every, zone=zone, start=start)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("every", "zone", "start"),
    [
        ("week", "UTC", datetime(2013, 1, 14, tzinfo=UTC)),
        ("month", "America/New_York", datetime(2013, 3, 1, tzinfo=NEW_YORK)),
        ("day", "America/Sao_Paulo", datetime(2017, 10, 15, 1, tzinfo=ZoneInfo("America/Sao_Paulo"))),
        ("day", "Europe/London", datetime(2013, 1, 1, tzinfo=UTC)),
    ],
)
def test_pipeline_has_the_calendar_that_it_declares(every: Any, zone: str, start: datetime) -> None:
    assert toy(every=every, zone=zone, start=start).calendar == Calendar(every, zone)


@pytest.mark.parametrize("reference", ["steps:walk", "nothing:run", "steps", ":run", "steps:"])
def test_missing_name_is_reported(declare: Declare, reference: str) -> None:
    declare("second_toy", {"steps": "def run(): return 7\n"})

    with pytest.raises(DeclarationError, match="write it as 'module:name'"):
        resolve(toy(name="second_toy"), reference)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({}, "second_toy has no pipeline.py"),
        ({"pipeline": ""}, "must set PIPELINE to a Pipeline named 'second_toy'"),
        ({"pipeline": PIPELINE.format(name="third_toy")}, "must set PIPELINE to a Pipeline named 'second_toy'"),
    ],
)
def test_folder_that_declares_nothing_is_named(declare: Declare, modules: dict[str, str], message: str) -> None:
    declare("second_toy", modules)

    with pytest.raises(DeclarationError, match=message):
        load_pipeline("second_toy")


def test_unknown_pipeline_is_reported_with_the_known_ones() -> None:
    with pytest.raises(DeclarationError, match=r"there is no pipeline 'flight'; known: .*flights"):
        load_pipeline("flight")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"split_by": ""}, "split_by='' must be text; write it as split_by='event_time'"),
        ({"split_by": 5}, "split_by=5 must be text"),
        ({"state_by": ""}, "state_by='' must be text; write it as state_by='tail_number'"),
        ({"state_by": ["group"]}, r"state_by=\['group'\] must be text"),
        (
            {"state_by": "group", "split_by": "event_time"},
            "split_by='event_time' makes several partitions in one call, but state_by=.group. makes one after",
        ),
        (
            {"state_by": "group", "reads": (Input("state"),)},
            "gets the state as 'state', but an input is called",
        ),
        (
            {"packages": "scikit-learn"},
            r"packages='scikit-learn' must be a tuple; write it as packages=\('scikit-learn',\)",
        ),
        ({"packages": (1,)}, r"packages=\(1,\) must be a tuple"),
    ],
)
def test_step_that_is_declared_wrongly_is_refused(declared: dict[str, Any], reason: str) -> None:
    with pytest.raises(DeclarationError, match=f"step doubled: .*{reason}"):
        Step(**{"name": "doubled", "run": "steps:doubled", "reads": (Input("conform"),), **declared})


def test_conform_has_no_state(declare: Declare) -> None:
    declaration = PIPELINE.format(name="second_toy").replace(
        "PIPELINE =", "Conform('conform', source='events', contract='c:C', state_by='group')\nPIPELINE ="
    )
    declare("second_toy", {"pipeline": f"from sluice.declaration import Conform\n{declaration}"})

    with pytest.raises(DeclarationError, match="unexpected keyword argument 'state_by'"):
        load_pipeline("second_toy")


def test_state_reaches_the_steps_that_read_it_and_no_other() -> None:
    total = Step("total", run="steps:total", reads=(Input("conform"),), state_by="group")
    after = Step("after", run="steps:after", reads=(Input("conform"), Input("total")))
    last = Step("last", run="steps:last", reads=(Input("after"),))
    pipeline = toy(steps=(CONFORM, DOUBLED, total, after, last), training=None, deployment=None)

    assert [pipeline.carries_state(each) for each in pipeline.steps] == [False, False, True, True, True]


@pytest.mark.parametrize("step", [CONFORM, DOUBLED])
@pytest.mark.parametrize(
    "fresh_within", [timedelta(seconds=59), timedelta(days=366), timedelta(milliseconds=90_500), 6]
)
def test_freshness_that_can_not_be_watched_is_refused(step: Step, fresh_within: Any) -> None:
    with pytest.raises(
        DeclarationError, match=rf"step {step.name}: fresh_within=.* must be a timedelta from 60 seconds"
    ):
        replace(step, fresh_within=fresh_within)


def test_freshness_is_declared_of_a_step_and_makes_nothing_run_again() -> None:
    watched = replace(DOUBLED, fresh_within=timedelta(minutes=61))

    assert toy(steps=(CONFORM, watched, RUNNING)).fresh_within == {"doubled": timedelta(minutes=61)}
    assert repr(watched) == repr(DOUBLED)
    assert toy().fresh_within == {}
    assert toy().lateness(RUNNING) == timedelta(hours=1)
    drops = Step("daily", run="steps:daily", reads=(Input("weather"),), fresh_within=timedelta(minutes=1))
    assert toy(steps=(*TOY.steps, drops)).lateness(drops) == timedelta(0)


@pytest.mark.parametrize("once_within", [timedelta(0), timedelta(days=367), timedelta(milliseconds=90_500), 7])
def test_time_within_which_ids_can_not_be_compared_is_refused(once_within: Any) -> None:
    with pytest.raises(DeclarationError, match=r"step conform: once_within=.* must be a timedelta from 60 seconds"):
        replace(CONFORM, once_within=once_within)
    assert replace(CONFORM, once_within=None).once_within is None
