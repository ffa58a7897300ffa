"""All processes of a session end, and no others."""

from __future__ import annotations

import subprocess
import sys

from localcloud.sessions import kill_session
from localcloud.testing.processes import is_running
from localcloud.testing.waiting import wait_for

_SLEEP = "import time; time.sleep(600)"
_START = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {_SLEEP!r}], process_group=0).pid)"


def test_a_process_in_a_group_of_its_own_ends_when_its_leader_has_ended() -> None:
    other = subprocess.Popen([sys.executable, "-c", _SLEEP], start_new_session=True)
    leader = subprocess.Popen([sys.executable, "-c", _START], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    left = int(leader.stdout.readline())
    leader.wait(30)
    wait_for(lambda: is_running(left), what="the process that was left")

    kill_session(leader.pid)

    assert not is_running(left)
    assert is_running(other.pid)
    kill_session(other.pid)
    assert other.wait(30) < 0
