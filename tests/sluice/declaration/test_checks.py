"""Typical mistakes in a declaration are named when it is loaded, each in one line with its place and its right form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.toy import MODULES

from sluice.declaration.loading import load_pipeline, load_pipelines

ROOT = Path(__file__).resolve().parents[3]

GOOD = """
from datetime import UTC, datetime, timedelta

from sluice.declaration import (
    Conform, Deployment, Drops, FifoQueue, Gate, Input, Marker, Monitoring, Pipeline, StandardQueue, Step, Stream,
    TimeSplit, Training, XGBoost,
)

PIPELINE = Pipeline(
    name="mistaken",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 12, 31, tzinfo=UTC),
    sources=(
        FifoQueue("events", event_id="id", event_time="at"),
        Drops("weather", prefix="drops/weather/"),
    ),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("doubled", run="steps:doubled", reads=(Input("conform"),)),
        Step("running", run="steps:running", reads=(Input("doubled", look_back=1),)),
    ),
    training=Training(
        rows="running",
        label="late",
        features=("value", "total"),
        candidates=(XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 5}),),
        gate=Gate("auc", at_least=0.6),
        split=TimeSplit(0.15, 0.15),
    ),
    deployment=Deployment(endpoint="mistaken-late"),
)
"""
QUEUE = 'FifoQueue("events", event_id="id", event_time="at")'
STEP = '        Step("running"'
BEFORE = '        Step("conform_before", run="steps:doubled", reads=(Input("conform"),))'
DROPS = 'Drops("weather", prefix="drops/weather/")'

# (what is right, what is written instead, the message)
MISTAKES = [
    (
        'reads=(Input("conform"),)',
        'reads=(Input("conform"))',
        "step doubled: reads=Input(.*) must be a tuple; write it",
    ),
    ('reads=(Input("conform"),)', "reads=()", r"reads=\(\) must be a tuple; write it as reads=\(Input\('conform'\),\)"),
    ('reads=(Input("conform"),)', 'reads=("conform",)', "must be a tuple; write it as reads="),
    ('features=("value", "total")', 'features="lag_1"', r"features='lag_1' must be a tuple; write it as features=\("),
    ('features=("value", "total")', 'features=("lag_1")', "features='lag_1' must be a tuple"),
    ('features=("value", "total")', "features=()", "must be a tuple"),
    (
        f"        {QUEUE},\n        {DROPS},\n",
        f"        {QUEUE}\n",
        "sources=FifoQueue.* must be a tuple; write it as sources",
    ),
    ('every="day"', 'every="year"', "every='year' is no partition length; use hour or day or week or month"),
    ('every="day"', 'every="day", zone="America/Gotham"', "zone='America/Gotham' must be the name of a time zone"),
    (
        'every="day"',
        'every="day", zone=None',
        "zone=None must be the name of a time zone, such as 'Europe",
    ),
    (
        'every="day"',
        'every="hour", zone="Europe/Berlin"',
        "zone='Europe/Berlin', but hours are those of UTC; leave out",
    ),
    (
        'every="day"',
        'every="day", zone="Europe/Berlin"',
        "2013-01-01T00:00:00.00:00 is not Europe/Berlin, but partitions",
    ),
    ("at_least=0.6", "at_least=7", "gate: at_least=7 must be a number from 0 to 1"),
    ("at_least=0.6", "at_least=True", "gate: at_least=True must be a number"),
    ('Gate("auc"', 'Gate("gini"', "gate: metric='gini' is not measured; write one of auc, .*, as in Gate"),
    ("at_least=0.6", "at_most=0.6", "gate: more auc is better; write at_least instead of at_most"),
    ('"auc", at_least=0.6', '"log_loss", at_least=0.6', "gate: less log_loss is better; write at_most instead of at_l"),
    ('"auc", at_least=0.6', '"log_loss"', "gate: at_most=None must be a number of at least 0"),
    ('"auc", at_least=0.6', '"auc"', "gate: at_least=None must be a number from 0 to 1"),
    (
        '"binary:logistic"',
        '"reg:squarederror"',
        "eval_metric='auc' has auc, which the objective 'reg:squarederror' does",
    ),
    (
        '"binary:logistic", "eval_metric": "auc"',
        '"reg:linear"',
        "objective='reg:linear' does not fit Binary\\(\\); write it as 'binary:logistic'",
    ),
    (
        '"objective": "binary:logistic", "eval_metric": "auc", ',
        "",
        r"objective=None does not fit Binary\(\);",
    ),
    ("XGBoost({", 'XGBoost(name="x-g-boost", hyperparameters={', "candidate name 'x-g-boost' is not allowed"),
    ("XGBoost({", f'XGBoost(name="{"x" * 20}", hyperparameters={{', "use at most 19 of a-z"),
    (
        "XGBoost({",
        'XGBoost(version="9.9", hyperparameters={',
        "version='9.9' is not known; write one of 1.7-1",
    ),
    (
        "XGBoost({",
        'XGBoost(instance_type="m5.large", hyperparameters={',
        "is none of SageMaker's; write it as 'ml.m5.large'",
    ),
    (
        "XGBoost({",
        "XGBoost(volume_gb=0, hyperparameters={",
        "candidate xgboost: volume_gb=0 must be a whole number from 1",
    ),
    ("at_least=0.6", "at_least=0.6, margin=2", "gate: margin=2 must be a number from 0 to 1"),
    ("at_least=0.6", "at_least=0.6, rows=0", "gate: rows=0 must be a whole number from 1"),
    (
        "at_least=0.6",
        'at_least=0.6, slices="value"',
        r"gate: slices='value' must be a tuple; write it as",
    ),
    ("at_least=0.6", "at_least=0.6, each_slice=0.5", "gate: each_slice needs slices"),
    (
        '"auc", at_least=0.6',
        '"rmse", at_most=3',
        r"Binary\(\) has no rmse, which the gate is on; write one of auc",
    ),
    ('"auc", at_least=0.6', '"r2", at_least=1.5', "gate: at_least=1.5 must be a number of at most 1"),
    ('"objective": "binary:logistic", ', "", "candidate xgboost: eval_metric='auc' needs an objective beside it"),
    (', "num_round": 5', "", "candidate xgboost: the hyperparameter num_round is missing"),
    ('"num_round": 5', '"num_rounds": 5', "does not know the hyperparameter 'num_rounds'; write it as 'num_round'"),
    ('"num_round": 5', '"num_round": 0', "num_round=0 must be a whole number of at least 1"),
    ('"num_round": 5', '"num_round": "5"', "num_round='5' must be a whole number of at least 1"),
    ('"num_round": 5', '"num_round": 5, "eta": 2.0', "eta=2.0 must be a number of at least 0 and of at most 1"),
    ("TimeSplit(0.15, 0.15)", "TimeSplit(2, -1)", "split: validation=2 must be a number between 0 and 1"),
    ("TimeSplit(0.15, 0.15)", "TimeSplit(0.5, 0.5)", "leave nothing to train on; write shares whose sum is below 1"),
    ('event_time="at")', 'event_time="at", lateness=timedelta(days=-2))', "lateness=.* must be a timedelta from 0 sec"),
    ('event_time="at")', 'event_time="at", lateness=3600)', "source events: lateness=3600 must be a timedelta"),
    ('event_time="at")', 'event_time="at", close="never")', "close='never' is none of evidence, event_time; write"),
    ('event_id="id"', 'event_id=""', "source events: event_id='' must be text; write it as event_id='id'"),
    ("drops/weather/", "drops/weather", "prefix='drops/weather' must end with a slash .*write it as 'drops/weather/'"),
    ("drops/weather/", "/drops/", "prefix='/drops/' must end with a slash and not begin with one"),
    ("drops/weather/", "", "source weather: prefix='' must be text; write it as prefix='drops/weather/'"),
    ("drops/weather/", "mistaken/raw/events/", "which is inside the lake's own folders; use another one, such as"),
    (DROPS, f'{DROPS}, Drops("rain", prefix="drops/weather/rain/")', "the folders of weather and rain overlap"),
    ('/weather/")', '/weather/", complete=Marker(""))', "drops: complete='' must be text"),
    ('/weather/")', '/weather/", complete=Marker("a/b"))', "the marker 'a/b' must have no slash"),
    (
        STEP,
        f"{BEFORE.replace('_before', '_after')},\n{STEP}",
        "dataset 'conform_after' has the name under which a step looks ahead on 'conform'; rename one of the two",
    ),
    (STEP, f"{BEFORE},\n{STEP}", "dataset 'conform_before' has the name under which a step looks back on 'conform'"),
    ("look_back=1", "look_back=-1", "input doubled: look_back=-1 must be a whole number from 0"),
    ("look_back=1", "look_back=1.5", "look_back=1.5 must be a whole number"),
    ("look_back=1", "look_ahead=1_001", "input doubled: look_ahead=1001 must be a whole number from 0 to 1,000"),
    ("look_back=1", "look_ahead=True", "look_ahead=True must be a whole number"),
    ("datetime(2013, 1, 1, tzinfo=UTC)", "datetime(2013, 1, 1)", "start and end need a time zone; use datetime.UTC"),
    (
        "datetime(2013, 1, 1, tz",
        "datetime(2013, 1, 1, 5, tz",
        "is not the start of a partition; write the start of",
    ),
    ("datetime(2013, 12, 31", "datetime(2000, 12, 31", "is before start=2013-01-01T00:00:00.00:00; swap the two"),
    (
        "start=datetime(2013, 1, 1, tzinfo=UTC)",
        'start=datetime.fromisoformat("2013-01-01T00:00:00+05:00")',
        "is not UTC, but partitions are; use datetime.UTC",
    ),
    *(
        ('"mistaken-late"', f'"mistaken-late", monitoring=Monitoring({member})', f"monitoring: {message}")
        for member, message in (
            ("window=0", "window=0 must be a whole number from 1 to 1,000"),
            ("worst=2", "worst=2 must be a number from 0 to 1"),
            ("drift=-1", "drift=-1 must be a number of at least 0"),
            ("oldest=3600", "oldest=3600 must be a timedelta from 60 seconds"),
            ("retrain=1", "retrain=1 must be True or False"),
            ("schedule=''", "schedule='' must be text; write it as schedule='@daily'"),
        )
    ),
    ('"mistaken-late"', '"mistaken-late", monitoring=True', "monitoring=True must be a Monitoring; write it as"),
    ('"mistaken-late"', '"mistaken-late", instances=0', "deployment: instances=0 must be a whole number from 1"),
    (
        '"mistaken-late"',
        '"mistaken-late", instance_type="m5.large"',
        "is none of SageMaker's; write it as 'ml.m5.large'",
    ),
    (
        'label="late",',
        'label="late", max_runtime=timedelta(days=29),',
        "max_runtime=.* must be a timedelta from 1 sec",
    ),
    ('label="late",', 'label="late", max_runtime=3600,', "training: max_runtime=3600 must be a timedelta"),
    ('"steps:doubled"', '"steps:trebled"', r"steps\.py defines no 'trebled'; it defines doubled, pd, running"),
    ('"steps:doubled"', '"steps:running"', r"but it takes \(doubled, doubled_before\); name its parameters"),
    ('"contract:Reading"', '"contracts:Reading"', "there is no module 'contracts' beside its pipeline.py"),
    ('"contract:Reading"', '"contract.Reading"', "names 'contract.Reading'; write it as 'module:name'"),
    ('source="events"', 'source="weather"', "conforms 'weather', which is no queue or stream"),
    ('rows="running"', 'rows="ran"', "training reads 'ran', which is no step; name one of"),
]


def test_valid_declaration_is_accepted(declare: Declare) -> None:
    declare("mistaken", {**MODULES, "pipeline": GOOD})

    assert load_pipeline("mistaken") in load_pipelines()[0]


@pytest.mark.parametrize(
    ("right", "wrong", "message"), MISTAKES, ids=[wrong or message for _, wrong, message in MISTAKES]
)
def test_mistake_is_named_in_one_line(declare: Declare, right: str, wrong: str, message: str) -> None:
    assert right in GOOD
    declare("mistaken", {**MODULES, "pipeline": GOOD.replace(right, wrong)})

    pipelines, (error,) = load_pipelines()

    assert "mistaken" not in [pipeline.name for pipeline in pipelines]
    with pytest.raises(type(error), match=message):
        raise error
    assert len(str(error).splitlines()) == 1


def test_mistake_is_named_with_its_line(declare: Declare) -> None:
    declare("mistaken", {**MODULES, "pipeline": GOOD.replace("at_least=0.6", "at_least=7")})

    _, (error,) = load_pipelines()

    assert str(error) == (
        "pipeline mistaken can't be loaded: pipelines/mistaken/pipeline.py line 28: gate: at_least=7 must be a number "
        "from 0 to 1; correct it"
    )


# What a type checker refuses: what is written instead of what is right, and the part of the code that is named.
_REFUSED_BY_TYPES = [
    ('reads=(Input("conform"),)', 'reads=(Input("conform"))', '"reads"'),
    ('features=("value", "total")', 'features="lag_1"', '"features"'),
    (f"        {QUEUE},\n        {DROPS},\n", f"        {QUEUE}\n", '"sources"'),
    ('every="day"', 'every="year"', '"every"'),
    ('Gate("auc"', 'Gate("acuracy"', '"Gate"'),
    ('event_time="at")', 'event_time="at", lateness=3600)', '"lateness"'),
    ('label="late",', 'label="late", max_runtime=3600,', '"max_runtime"'),
    ("look_back=1", "look_back=1.5", '"look_back"'),
]


@pytest.mark.slow
def test_type_checker_refuses_most_mistakes(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(GOOD)
    for number, (right, wrong, _) in enumerate(_REFUSED_BY_TYPES):
        (tmp_path / f"wrong_{number}.py").write_text(GOOD.replace(right, wrong))

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--hide-error-context", str(tmp_path)],
        env={"MYPYPATH": str(ROOT / "include"), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert "right.py" not in done.stdout
    for number, (_, wrong, named) in enumerate(_REFUSED_BY_TYPES):
        lines = [line for line in done.stdout.splitlines() if f"wrong_{number}.py" in line and "error:" in line]
        assert any(named in line for line in lines), (wrong, done.stdout)
