"""The producer sends each day once, and sends a partly sent day again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud, free_ports
from tests.pipelines.flights.flight_days import days_from, events_from

from pipelines.flights.producer import Sent, send_days
from sluice.aws.resources import find
from sluice.declaration.loading import load_pipeline
from sluice.provisioning.provision import provision
from sluice.sending.lanes import SendFailed

# The year's last day in UTC holds what left New York late on the 31st.
DAYS = days_from(date(2013, 12, 31), 2)
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Place:
    """A pipeline's queue and lake, to which a producer sends."""

    cloud: Cloud
    bucket: str
    queue_url: str

    def send(self, days: list[date], sqs: Any = None) -> Sent:
        s3 = self.cloud.client("s3")
        return send_days(sqs or self.cloud.client("sqs"), s3, self.queue_url, self.bucket, days)

    def waiting(self) -> int:
        attributes = self.cloud.client("sqs").get_queue_attributes(
            QueueUrl=self.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def keys(self) -> list[str]:
        listed = self.cloud.client("s3").list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in listed.get("Contents", [])]


@pytest.fixture
def place(cloud: Cloud, request: pytest.FixtureRequest) -> Place:
    name = request.node.name.replace("_", "-")[:50]
    cloud.client("s3").create_bucket(Bucket=name)
    queue = cloud.client("sqs").create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})
    return Place(cloud, name, queue["QueueUrl"])


def test_days_are_sent_once(place: Place) -> None:
    assert place.send(DAYS[1:]) == Sent(events=373, total=373)
    assert place.send(DAYS) == Sent(events=2524, total=2897)
    assert place.send(DAYS) == Sent(events=0, total=2897)

    assert place.waiting() == 2897
    assert place.keys() == [
        "drops/weather/dt=2013-12-31/_SUCCESS",
        "drops/weather/dt=2013-12-31/weather.parquet",
        "drops/weather/dt=2014-01-01/_SUCCESS",
        "drops/weather/dt=2014-01-01/weather.parquet",
        "flights/producer/dt=2013-12-31/sent.json",
        "flights/producer/dt=2014-01-01/sent.json",
    ]
    marker = place.cloud.client("s3").get_object(Bucket=place.bucket, Key="flights/producer/dt=2014-01-01/sent.json")
    assert json.loads(marker["Body"].read())["count"] == 373


def test_day_with_changed_events_is_sent(place: Place) -> None:
    place.cloud.client("s3").put_object(
        Bucket=place.bucket, Key="flights/producer/dt=2014-01-01/sent.json", Body=b'{"count": 373, "digest": "other"}'
    )

    assert place.send(DAYS[1:]) == Sent(events=373, total=373)


def test_partly_sent_day_is_sent_again(place: Place) -> None:
    sqs, calls = place.cloud.client("sqs"), 0

    def refuse(parsed: dict[str, Any], **_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            parsed["Failed"] = [{"Id": "0", "Code": "InternalError", "SenderFault": True}]

    sqs.meta.events.register("after-call.sqs.SendMessageBatch", refuse)
    with pytest.raises(SendFailed):
        place.send(DAYS[1:], sqs)
    assert 0 < place.waiting() < 373
    assert place.keys() == []

    assert place.send(DAYS[1:]) == Sent(events=373, total=373)

    # The queue knows what it took less than five minutes ago.
    assert place.waiting() == 373


def test_command_finds_the_pipeline_and_reports_what_it_sent(cloud: Cloud) -> None:
    cloud = in_region(cloud, "eu-central-1")  # no other test uses it
    provision(cloud, load_pipeline("flights"))
    resources = find(cloud, "flights")

    done = command(cloud, "--days", "1", "--start", "2014-01-01")

    assert (done.stdout, done.stderr) == ("sent 373 of 373 events of 1 days\n", "")
    place = Place(cloud, resources.bucket, resources.made_for("queues", "events"))
    assert place.waiting() == 373
    received = cloud.client("sqs").receive_message(QueueUrl=place.queue_url, MaxNumberOfMessages=1)["Messages"]
    assert received[0]["Body"] in {event.body for event in events_from(DAYS[1], 1)}


def test_missing_pipeline_is_one_clear_line(cloud: Cloud) -> None:
    done = command(in_region(cloud, "eu-north-1"), "--days", "1")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("pipeline flights: ")
    assert done.stderr.count("\n") == 1


def test_unreachable_cloud_is_one_clear_line(cloud: Cloud) -> None:
    gone = f"http://127.0.0.1:{free_ports(1)[0]}"

    done = command(replace(cloud, environment={**cloud.environment, "AWS_ENDPOINT_URL": gone}), "--days", "1")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f'Could not connect to the endpoint URL: "{gone}/"; '
        "check AWS_ENDPOINT_URL, credentials and region (on a laptop: make up)\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "2014-01-02"], "the data is of 2013-01-01 to 2014-01-01"),
        (["--days", "0"], "greater than or equal to 1"),
    ],
)
def test_days_outside_of_the_data_are_refused(cloud: Cloud, options: list[str], message: str) -> None:
    done = command(cloud, *options)

    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def in_region(cloud: Cloud, region: str) -> Cloud:
    """Return the cloud in a region where no other test has a pipeline of this name."""
    return replace(cloud, environment={**cloud.environment, "AWS_DEFAULT_REGION": region})


def command(cloud: Cloud, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.flights.producer", *options],
        env={**os.environ, **cloud.environment, "PYTHONPATH": str(ROOT / "include"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
