"""The code finds the resources of the template by their parameters, and by nothing else."""

from __future__ import annotations

import pytest
from tests.conftest import Cloud
from tests.sluice.toy import EVENTS, MESSAGES, STREAM, toy

from sluice.aws.resources import find
from sluice.errors import MissingResource
from sluice.provisioning.provision import provision


def test_all_resources_of_the_template_are_found(cloud: Cloud) -> None:
    outputs = provision(cloud, toy(name="found", sources=(EVENTS, MESSAGES, STREAM)))

    resources = find(cloud, "found")

    assert resources.bucket == outputs["Bucket"]
    assert resources.topic_arn == outputs["Topic"]
    assert resources.role_arn == outputs["Role"]
    assert resources.of_sources == {
        "queues/events": outputs["EventsQueue"],
        "queues/messages": outputs["MessagesQueue"],
        "dead-letter-queues/events": outputs["EventsDeadLetterQueue"],
        "dead-letter-queues/messages": outputs["MessagesDeadLetterQueue"],
        "streams/stream": outputs["Stream"],
    }
    assert resources.completions_queue == outputs["CompletionsQueue"]
    assert resources.made_for("queues", "events") == outputs["EventsQueue"]


def test_more_sources_than_one_page_of_parameters_are_found(cloud: Cloud) -> None:
    ssm = cloud.client("ssm")
    names = {f"queues/source{number}" for number in range(15)}
    for name in names | {"bucket", "topic", "completions-queue"}:
        ssm.put_parameter(Name=f"/sluice/wide/{name}", Value=f"value of {name}", Type="String")

    assert find(cloud, "wide").of_sources == {name: f"value of {name}" for name in names}


def test_pipeline_with_the_same_prefix_is_not_found_instead(cloud: Cloud) -> None:
    provision(cloud, toy(name="near_by"))

    with pytest.raises(MissingResource, match=r"^pipeline near: .*`sluice provision near`$"):
        find(cloud, "near")


def test_source_without_a_queue_is_named(cloud: Cloud) -> None:
    provision(cloud, toy(name="found", sources=(EVENTS, MESSAGES, STREAM)))

    with pytest.raises(MissingResource, match="there are no queues for the source 'orders', only for events, messages"):
        find(cloud, "found").made_for("queues", "orders")


def test_pipeline_provisioned_before_its_training_was_declared_is_reported(cloud: Cloud) -> None:
    provision(cloud, toy(name="untrained", training=None, deployment=None))

    resources = find(cloud, "untrained")

    assert resources.role_arn is None
    with pytest.raises(MissingResource, match=r"no parameter /sluice/untrained/role .*`sluice provision untrained`$"):
        resources.require_role()
