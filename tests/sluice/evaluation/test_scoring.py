"""A scoring is one paid job, for as long as its answers exist."""

from __future__ import annotations

from tests.sluice.lake_contents import body_of, keys_below
from tests.sluice.serving.live import Live, score

from sluice.evaluation.scoring import launch_scoring, scores_folder
from sluice.evaluation.transforms import attempted_scorings


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
