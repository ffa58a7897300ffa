"""How soon the stand-in's API answers while it trains as many jobs as it can."""

from __future__ import annotations

import statistics
import time

from tests.conftest import Cloud

from localcloud.testing import training

JOBS = 20
ROWS = 40_000


def describe_p95_ms(cloud: Cloud) -> float:
    """Create 20 jobs at once, then describe them in turn until all are over; the 95th percentile of a call.

    Each call goes through boto3, which takes about 3 ms of it. A job takes both cores for a few seconds.
    """
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    s3.create_bucket(Bucket="describe")
    s3.put_object(Bucket="describe", Key="data/train/a.csv", Body=training.csv(training.rows(1, ROWS)))
    data = training.Data("describe", training.rows(2, 1))
    names = [f"described-{number}" for number in range(JOBS)]
    took: list[float] = []

    def timed(name: str) -> str:
        begun = time.perf_counter()
        job = sagemaker.describe_training_job(TrainingJobName=name)
        took.append((time.perf_counter() - begun) * 1000)
        assert job["TrainingJobStatus"] in ("InProgress", "Completed"), job.get("FailureReason")
        return str(job["TrainingJobStatus"])

    for name in names:
        channels = [training.channel("train", data.uri("train"))]
        request = training.request(name, data, {"num_round": "100"}, InputDataConfig=channels)
        sagemaker.create_training_job(**request)
    running = set(names)
    while running:
        running -= {name for name in names if name in running and timed(name) == "Completed"}
    return statistics.quantiles(took, n=20)[-1]
