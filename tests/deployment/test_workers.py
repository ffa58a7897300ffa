"""What Celery workers need is checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy import workers
from deploy.checkout import CELERY, read_settings
from deploy.worker import MOST_WORKERS
from tests.deployment.files import ROOT, SETTINGS

WITH_CELERY = read_settings(CELERY, ROOT)


def test_missing_broker_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(workers.WorkersError, match=r"redis-server is not installed \(Debian: apt install redis-server"):
        workers.require_redis(WITH_CELERY)
    workers.require_redis(SETTINGS)  # `make up` without Celery needs none


@pytest.mark.parametrize("count", [0, MOST_WORKERS + 1])
def test_number_of_workers_that_can_not_be_is_refused(count: int) -> None:
    with pytest.raises(workers.WorkersError, match=f"WORKERS={count} is not usable: give a number from 1 to 8"):
        workers.programs(count)


def test_there_are_as_many_programs_as_workers() -> None:
    assert f"\nnumprocs={MOST_WORKERS}\n" in (ROOT / "deploy" / "celery.conf").read_text()
    assert workers.programs(2) == ["worker:worker-1", "worker:worker-2"]
