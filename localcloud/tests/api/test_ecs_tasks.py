"""Tasks on Fargate run: their command, environment, states, limits, logs and credentials."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from localcloud.testing.clouds import Cloud
from localcloud.testing.fargate import CONTAINER, Fargate
from localcloud.testing.processes import is_running

MIB = 1024 * 1024
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
SLEEP = "import time; print('up', flush=True); time.sleep(600)"


def test_a_task_runs_its_command_to_its_end(fargate: Fargate) -> None:
    task = fargate.result("import sys; print('out'); print('error', file=sys.stderr); sys.exit(3)")
    container = task["containers"][0]
    assert (task["lastStatus"], task["desiredStatus"]) == ("STOPPED", "STOPPED")
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert (container["name"], container["lastStatus"], container["exitCode"]) == (CONTAINER, "STOPPED", 3)
    assert "reason" not in container
    assert sorted(fargate.lines(task["taskArn"])) == ["error", "out"]


def test_a_task_has_the_states_and_times_of_a_task(fargate: Fargate) -> None:
    answer = fargate.ecs.run_task(**fargate.request(fargate.register("print(1)"), startedBy="me/1"))
    begun = answer["tasks"][0]
    assert (begun["lastStatus"], begun["desiredStatus"], begun["version"]) == ("PROVISIONING", "RUNNING", 1)
    assert (begun["launchType"], begun["platformVersion"], begun["startedBy"]) == ("FARGATE", "1.4.0", "me/1")
    assert (begun["cpu"], begun["memory"], begun["group"]) == ("256", "512", f"family:{fargate.name}")
    assert "startedAt" not in begun
    task = fargate.stopped(begun["taskArn"])
    times = ("createdAt", "pullStartedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt")
    assert [task[name] for name in times] == sorted(task[name] for name in times)
    assert task["version"] == 6, "PENDING, RUNNING, the end is asked for, DEPROVISIONING, STOPPED"


def test_entry_point_command_and_environment_can_be_overridden(fargate: Fargate) -> None:
    script = "import os, sys; print(sys.argv[1:], os.environ['A'], os.environ['B'])"
    definition = fargate.register(
        script,
        entryPoint=["python", "-c", script],
        command=["of", "definition"],
        environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    )
    override = {"name": CONTAINER, "command": ["of override"], "environment": [{"name": "B", "value": "3"}]}
    plain = fargate.stopped(fargate.run(definition))
    changed = fargate.stopped(fargate.run(definition, overrides={"containerOverrides": [override]}))
    assert fargate.lines(plain["taskArn"]) == ["['of', 'definition'] 1 2"]
    assert fargate.lines(changed["taskArn"]) == ["['of override'] 1 3"]
    assert changed["overrides"]["containerOverrides"] == [override]


def test_a_task_sees_a_container_s_environment_and_nothing_of_the_cloud_s(fargate: Fargate, cloud: Cloud) -> None:
    task = fargate.result(SHOW)
    seen = json.loads(fargate.lines(task["taskArn"])[0])
    assert seen["AWS_REGION"] == seen["AWS_DEFAULT_REGION"] == "us-east-1"
    assert seen["AWS_ENDPOINT_URL"] == cloud.endpoint_url
    assert seen["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert not {"STATE_DIR", "PYTHONUNBUFFERED", "LOCALCLOUD_IMAGES", "USER"} & seen.keys()
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" not in seen, "the task has no role"
    assert seen["HOME"] == seen["TMPDIR"]


def test_a_task_writes_its_scratch_folder_only_which_is_removed(fargate: Fargate, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("private")
    script = f"""
import os, pathlib
pathlib.Path("mine").write_text("kept")
print(os.getcwd(), os.listdir())
for act in (lambda: open({str(foreign)!r}).read(), lambda: open({str(foreign)!r}, "w"), lambda: open("../stray", "w")):
    try:
        act()
        print("allowed")
    except PermissionError:
        print("denied")
"""
    task = fargate.result(script)
    folder, *rest = fargate.lines(task["taskArn"])
    assert rest == ["denied", "denied", "denied"]
    assert folder.endswith("['mine']")
    assert not Path(folder.partition(" ")[0]).exists()
    assert foreign.read_text() == "private"


def test_a_task_s_memory_is_a_limit_of_all_its_processes(fargate: Fargate) -> None:
    task = fargate.result(_eats(600, child=True))
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["containers"][0]["exitCode"] == 137
    assert task["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_a_task_may_have_the_memory_of_its_override(fargate: Fargate) -> None:
    definition = fargate.register(_eats(600))
    larger = fargate.stopped(fargate.run(definition, overrides={"memory": "1024"}))
    smaller = fargate.stopped(
        fargate.run(
            definition,
            overrides={"memory": "1024", "containerOverrides": [{"name": CONTAINER, "memory": 300}]},
        )
    )
    assert (larger["memory"], larger["containers"][0]["exitCode"]) == ("1024", 0)
    assert (smaller["containers"][0]["memory"], smaller["containers"][0]["exitCode"]) == ("300", 137)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_a_task_runs_on_as_many_cores_as_its_cpu_units_need(fargate: Fargate) -> None:
    definition = fargate.register("import os; print(len(os.sched_getaffinity(0)))")
    machine = len(os.sched_getaffinity(0))
    for units, memory, cores in (("256", "512", 1), ("1024", "2048", 1), ("2048", "4096", 2)):
        task = fargate.stopped(fargate.run(definition, overrides={"cpu": units, "memory": memory}))
        assert fargate.lines(task["taskArn"]) == [str(min(cores, machine))]


def test_what_a_container_leaves_behind_ends_with_it(fargate: Fargate) -> None:
    script = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid)
"""
    task = fargate.result(script)
    pid = int(fargate.lines(task["taskArn"])[0])
    assert not is_running(pid)
    assert task["containers"][0]["exitCode"] == 0


@pytest.mark.parametrize(("end", "code"), [("os.kill(os.getpid(), 15)", 143), ("os.kill(os.getpid(), 11)", 139)])
def test_the_exit_code_of_a_signal_is_docker_s(fargate: Fargate, end: str, code: int) -> None:
    assert fargate.result(f"import os; {end}")["containers"][0]["exitCode"] == code


def test_an_image_that_is_not_there_can_not_be_pulled(fargate: Fargate) -> None:
    task = fargate.result("print(1)", image="other:1")
    reason = (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref other:1: "
        "nothing here takes the place of image other:1; LOCALCLOUD_IMAGES has worker: add 'other'"
    )
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", reason)
    assert task["containers"][0]["reason"] == reason
    assert "exitCode" not in task["containers"][0]
    assert "startedAt" not in task


def test_a_command_that_is_not_there_can_not_be_started(fargate: Fargate) -> None:
    task = fargate.result("", command=["no-such-program"])
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == "CannotStartContainerError: no-such-program: No such file or directory"
    assert "exitCode" not in task["containers"][0]


def test_a_container_without_a_command_can_not_be_started(fargate: Fargate) -> None:
    task = fargate.result("", command=[])
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == "CannotStartContainerError: no command specified"


def test_lines_are_logged_while_the_task_runs(fargate: Fargate) -> None:
    arn = fargate.run(fargate.register(SLEEP))
    fargate.logged(arn, "up")
    assert fargate.task(arn)["lastStatus"] == "RUNNING"
    fargate.ecs.stop_task(cluster=fargate.name, task=arn)


def test_all_lines_are_logged_when_the_task_is_stopped(fargate: Fargate) -> None:
    task = fargate.result("import sys\nfor i in range(5000): print(i)\nsys.stdout.write('no end of line')")
    assert fargate.lines(task["taskArn"]) == [*map(str, range(5000)), "no end of line"]


def test_a_log_group_has_to_exist_unless_the_task_may_make_it(fargate: Fargate, cloud: Cloud) -> None:
    group = f"{fargate.name}-new"
    logs = {"logDriver": "awslogs"}
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "run"}
    missing = fargate.result("print(1)", logConfiguration={**logs, "options": options})
    assert missing["stopCode"] == "TaskFailedToStart"
    assert missing["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args: ")
    assert "The specified log group does not exist" in missing["stoppedReason"]
    made = fargate.result("print(1)", logConfiguration={**logs, "options": {**options, "awslogs-create-group": "true"}})
    assert made["containers"][0]["exitCode"] == 0
    streams = cloud.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert [each["logStreamName"] for each in streams] == [f"run/{CONTAINER}/{made['taskArn'].rpartition('/')[2]}"]


def test_a_task_has_the_credentials_of_its_role(fargate: Fargate) -> None:
    script = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"])
print(boto3.Session().get_credentials().method)
print(boto3.client("sagemaker").meta.endpoint_url)
"""
    definition = {**fargate.definition(script), "taskRoleArn": fargate.role}
    arn = fargate.ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
    task = fargate.stopped(fargate.run(arn))
    identity, method, sagemaker = fargate.lines(task["taskArn"])
    assert identity == f"arn:aws:sts::000000000000:assumed-role/{fargate.name}/{task['taskArn'].rpartition('/')[2]}"
    assert method == "container-role"
    assert sagemaker.startswith("http://127.0.0.1:")


def test_a_task_can_ask_for_its_metadata(fargate: Fargate) -> None:
    script = """
import json, os, urllib.request
base = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
for path in ("/task", ""):
    print(json.dumps(json.load(urllib.request.urlopen(base + path))))
"""
    task = fargate.result(script)
    of_task, of_container = map(json.loads, fargate.lines(task["taskArn"]))
    assert (of_task["TaskARN"], of_task["Cluster"]) == (task["taskArn"], task["clusterArn"])
    assert (of_task["Family"], of_task["Revision"]) == (fargate.name, "1")
    assert of_task["Limits"] == {"CPU": 0.25, "Memory": 512}
    assert of_task["Containers"] == [of_container]
    assert of_container["Name"] == CONTAINER
    assert of_container["KnownStatus"] == "RUNNING"


def test_the_addresses_of_a_container_end_with_it(fargate: Fargate) -> None:
    task = fargate.result(SHOW)
    seen = json.loads(fargate.lines(task["taskArn"])[0])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(seen["ECS_CONTAINER_METADATA_URI_V4"])


def _eats(mib: int, *, child: bool = False) -> str:
    """Return a script that holds memory for a while; in a child process if it says so."""
    held = f"import time; held = b'x' * {mib * MIB}; time.sleep(1)"
    if not child:
        return held
    return f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}]); import time; time.sleep(600)"
