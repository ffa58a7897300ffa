"""`make demo` after SIGKILL at random moments of earlier ones: it completes, with every event, in order."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
import pytest
from deploy.checkout import make_checkout
from tests.chaos.audit import Sent, audit
from tests.chaos.seeds import seeded
from tests.conftest import cloud_at
from tests.deployment.files import ROOT
from tests.pipelines.flights.flight_days import events_from

from sluice.sources.queue.send import encoded

DAYS = 3
KILLS = 4
_FIRST_SECONDS, _LAST_SECONDS = 3, 40  # of a demo, between which it is killed
_LONGEST = 600


@dataclass(frozen=True)
class Demo:
    """A checkout's demo with a lake and ports of its own."""

    folder: Path
    settings: Mapping[str, str]

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [".venv/bin/python", "-m", "demo"],
            cwd=self.folder,
            env={**self.settings, "DAYS": str(DAYS), "HOME": os.environ["HOME"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cloud(self, command: str) -> None:
        subprocess.run(
            [".venv-cloud/bin/python", "-m", "localcloud", command],
            cwd=self.folder,
            env=dict(self.settings),
            check=True,
            timeout=_LONGEST,
        )

    def kill(self, named: str = "") -> None:
        """Send SIGKILL to all of its processes at once, or only to those with this word in their command."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if named in " ".join(process.cmdline()):
                    process.kill()

    def processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("LOCALCLOUD_STATE") == self.settings["LOCALCLOUD_STATE"]:
                    yield process


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    checkout = make_checkout(tmp_path / "checkout")
    shutil.copytree(ROOT / "demo", checkout.folder / "demo")
    made = Demo(checkout.folder, {**checkout.settings, "PATH": os.environ["PATH"]})
    yield made
    made.kill()


@pytest.mark.chaos
@pytest.mark.timeout(2 * _LONGEST)
@seeded(1)
def test_demo_completes_after_repeated_kills(demo: Demo, seed: int) -> None:
    chance = random.Random(seed)
    for kill in range(KILLS):
        running = demo.start()
        try:
            output, _ = running.communicate(timeout=chance.uniform(_FIRST_SECONDS, _LAST_SECONDS))
            assert running.returncode == 0, output  # it ended before the kill
        except subprocess.TimeoutExpired:
            pass
        demo.kill("localcloud.emulator" if kill % 2 else "")
        running.communicate(timeout=_LONGEST)

    last = demo.start()
    output, _ = last.communicate(timeout=_LONGEST)
    assert last.returncode == 0, output

    demo.cloud("up")
    cloud = cloud_at(int(demo.settings["LOCALCLOUD_PORT"]), int(demo.settings["LOCALCLOUD_SAGEMAKER_PORT"]))
    sqs, s3 = cloud.client("sqs"), cloud.client("s3")
    [bucket] = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    queue = sqs.get_queue_url(QueueName="flights-events.fifo")["QueueUrl"]
    events = events_from(date(2013, 1, 1), DAYS)
    sent = [Sent(each.id, encoded(each.group), order, each.body) for order, each in enumerate(events)]
    assert audit(s3, bucket, "flights", "events", sent, sqs, [queue]).conformed == len(events)
    demo.cloud("down")
