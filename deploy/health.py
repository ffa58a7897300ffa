"""Whether the component of this host is healthy: ``health.py worker``, or the job type, such as ``SchedulerJob``.

`airflow jobs check` imports all of Airflow, which takes five seconds of a core each time. This reads one row of its
database, or pings one worker. The exit status is 0 if the component is healthy.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

_LONGEST_ANSWER = 5  # seconds
_OLDEST_HEARTBEAT = 60  # seconds; a component records one every five
_NEWEST = """
    SELECT count(*) FROM job
    WHERE job_type = %s AND hostname = ANY(%s) AND state = 'running'
    AND latest_heartbeat > now() - make_interval(secs => %s)
"""


def workers_answer(names: Sequence[str]) -> bool:
    """Return whether all of these workers answer a ping. Others are not asked.

    Args:
        names: Celery's names of the workers, such as ``celery@worker-1``.
    """
    from celery import Celery

    with Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"], set_as_current=False) as app:
        return len(app.control.ping(destination=list(names), timeout=_LONGEST_ANSWER)) == len(names)


def job_is_alive(job_type: str) -> bool:
    """Return whether a job of this host has a recent heartbeat. Those of other hosts don't count.

    Args:
        job_type: ``SchedulerJob``, ``TriggererJob`` or ``DagProcessorJob``.
    """
    import psycopg2

    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with psycopg2.connect(address, connect_timeout=_LONGEST_ANSWER) as connection, connection.cursor() as cursor:
        cursor.execute(_NEWEST, (job_type, [socket.getfqdn(), socket.gethostname()], _OLDEST_HEARTBEAT))
        return bool(cursor.fetchone()[0])


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        sys.exit(not workers_answer([f"celery@{socket.gethostname()}"]))
    sys.exit(not job_is_alive(sys.argv[1]))
