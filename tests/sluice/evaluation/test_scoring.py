"""A scoring is one paid job, for as long as its answers exist."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sluice.lake_contents import body_of, keys_below
from tests.sluice.serving.live import Live, score

from sluice.aws.clients import Aws
from sluice.errors import TrainingFailed
from sluice.evaluation.scoring import launch_scoring, scores_folder
from sluice.evaluation.transforms import attempted_scorings, completed_scoring


def test_answers_that_were_removed_are_made_again_in_the_same_place(live: Live) -> None:
    lake, folder = live.workspace.lake, scores_folder(live.workspace, live.other, live.fingerprint)
    before = {key: body_of(lake, key) for key in keys_below(lake, folder)}
    first = launch_scoring(live.workspace, live.other, live.fingerprint)
    name = folder.split("/")[-2]
    assert first.action == "reused"
    attempts = len(attempted_scorings(live.workspace, name))

    for key in before:
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    again = launch_scoring(live.workspace, live.other, live.fingerprint)
    score(live.workspace, live.other, live.fingerprint)

    assert (again.job_name, again.action) == (f"{name}-{attempts + 1}", "started")
    assert {key: body_of(lake, key) for key in keys_below(lake, folder)} == before
    assert len(before) == 2
    scorings = attempted_scorings(live.workspace, name)
    assert [each.name for each in scorings] == [name, *(f"{name}-{n}" for n in range(2, attempts + 2))]
    assert all(each.billable_seconds > 0 for each in scorings)


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        ("Stopped", "", "it was stopped by a user .*, whom CloudTrail names"),
        ("Failed", "", "SageMaker gives no reason"),
        ("Failed", "ClientError: a\nrow", "ClientError: a row"),
    ],
)
def test_scoring_that_has_not_completed_says_why(live: Live, status: str, reason: str, told: str) -> None:
    name = scores_folder(live.workspace, live.model, live.fingerprint).split("/")[-2]
    workspace = replace(live.workspace, aws=Aws(live.workspace.aws.session, live.workspace.aws.endpoint))
    changed = {"TransformJobStatus": status, "FailureReason": reason}
    workspace.aws.client("sagemaker").meta.events.register(
        "after-call.sagemaker.DescribeTransformJob", lambda parsed, **_: parsed.update(changed)
    )

    with pytest.raises(TrainingFailed, match=rf"^transform job {name} ended {status} \({told}\); its log is "):
        completed_scoring(workspace, name)
