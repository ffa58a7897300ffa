"""Compose runs what ``make up`` runs, on Celery workers: the same commands and settings as ``make scale``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.cli.cli_parser import get_parser
from deploy.checkout import CELERY, read_settings
from deploy.worker import MOST_WORKERS
from tests.deployment.files import ROOT, SETTINGS, read_compose, read_supervised

_BUILT = {"sluice-airflow", "sluice-cloud"}


@pytest.fixture(scope="module")
def compose() -> Any:
    return read_compose()


def _airflow_services(compose: Any) -> dict[str, Any]:
    services = compose["services"]
    return {name: service for name, service in services.items() if service["image"] == "sluice-airflow"}


def test_file_has_the_form_that_compose_specifies() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_components_are_those_that_make_up_supervises(compose: Any) -> None:
    commands = {name: service["command"] for name, service in _airflow_services(compose).items()}

    assert commands.pop("init") == ["python", "deploy/prepare.py"]
    assert commands.pop("worker")[:3] == ["airflow", "celery", "worker"]  # in place of the scheduler's own workers
    supervised = dict(read_supervised())
    assert supervised.pop("postgres") == ["python", "-m", "deploy.postgres"]  # an image of its own in compose
    assert commands == supervised


def test_cloud_is_the_embedded_one(compose: Any) -> None:
    assert compose["services"]["localcloud"]["command"] == ["python", "-m", "localcloud", "run"]


def test_cloud_has_the_images_of_the_laptop_in_its_own_folder(compose: Any) -> None:
    on_a_laptop = read_settings(ROOT / ".env.example", Path("/opt/sluice"))["LOCALCLOUD_IMAGES"]

    assert json.loads(compose["services"]["localcloud"]["environment"]["LOCALCLOUD_IMAGES"]) == json.loads(on_a_laptop)


def test_airflow_knows_every_command_and_check(compose: Any) -> None:
    parse = get_parser().parse_args
    for name, service in _airflow_services(compose).items():
        for line in (service["command"], service.get("healthcheck", {}).get("test", [])[1:]):
            if line[:1] == ["airflow"]:
                assert parse(line[1:]).func, name


def test_settings_are_those_of_make_scale_except_for_addresses(compose: Any, tmp_path: Path) -> None:
    files = [ROOT / ".env.example", CELERY]
    (tmp_path / "all").write_text("".join(file.read_text() for file in files))
    inside = read_settings(tmp_path / "all", Path("/opt/sluice"))
    for name, service in _airflow_services(compose).items():
        assert service["env_file"] == [".env", str(CELERY.relative_to(ROOT))], name
        overridden = {variable for variable, value in service["environment"].items() if inside.get(variable) != value}
        assert overridden == {
            "AIRFLOW__API__HOST",
            "PUBLISHED_ON",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "AIRFLOW__CELERY__RESULT_BACKEND",
            "AIRFLOW__CELERY__BROKER_URL",
        }, name
    assert compose["services"]["localcloud"]["environment"]["LOCALCLOUD_STATE"] == inside["LOCALCLOUD_STATE"]


def test_every_variable_of_the_compose_file_is_a_setting() -> None:
    filled_in = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yaml").read_text()))
    assert filled_in
    assert filled_in <= SETTINGS.keys()


def test_each_service_that_uses_the_cloud_has_its_ports_by_the_relay(compose: Any) -> None:
    cloud = compose["services"]["localcloud"]
    program, direction, *rest = cloud["entrypoint"][1:]
    assert (program, direction) == ("deploy/relay.py", "out")
    for name, service in _airflow_services(compose).items():
        assert service["entrypoint"] == ["python", program, "in", *rest], name
        assert service["depends_on"]["localcloud"]["condition"] == "service_healthy", name
        assert any(volume in cloud["volumes"] for volume in service["volumes"]), name


def test_workers_and_schedulers_have_host_names_of_their_own(compose: Any) -> None:
    """Docker names a container by its id, unless it is told a name or shares the network of another."""
    for name, service in _airflow_services(compose).items():
        assert not {"network_mode", "hostname", "container_name"} & service.keys(), name
        assert "--celery-hostname" not in service["command"], name


def test_scheduler_has_more_under_way_than_all_workers_of_one_machine_have_slots() -> None:
    settings = read_settings(CELERY, ROOT)
    slots = MOST_WORKERS * int(settings["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert int(settings["AIRFLOW__CORE__PARALLELISM"]) > slots
    assert int(settings["AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG"]) > slots


def test_broker_writes_down_what_waits_in_both(compose: Any) -> None:
    mounted = "./deploy/redis.conf:/etc/redis.conf:ro"
    redis = compose["services"]["redis"]
    assert redis["command"] == ["redis-server", "/etc/redis.conf"]
    assert mounted in redis["volumes"]
    assert read_supervised("celery.conf")["redis"][:2] == ["redis-server", "%(here)s/redis.conf"]
    assert "\nappendonly yes\n" in (ROOT / "deploy" / "redis.conf").read_text()


def test_each_check_asks_the_component_of_its_own_container(compose: Any) -> None:
    """Without importing Airflow, which takes five seconds of a core each time."""
    checks = {name: service.get("healthcheck", {}).get("test") for name, service in _airflow_services(compose).items()}
    assert {name: checks[name] for name in ("scheduler", "dag-processor", "triggerer", "worker")} == {
        "scheduler": ["CMD", "python", "deploy/health.py", "SchedulerJob"],
        "dag-processor": ["CMD", "python", "deploy/health.py", "DagProcessorJob"],
        "triggerer": ["CMD", "python", "deploy/health.py", "TriggererJob"],
        "worker": ["CMD", "python", "deploy/health.py", "worker"],
    }


def test_worker_that_stops_has_time_for_the_longest_drain(compose: Any) -> None:
    longest = re.search(r'"max_seconds": Param\((\d+)', (ROOT / "dags" / "ingest.py").read_text())
    assert longest is not None
    assert compose["services"]["worker"]["stop_grace_period"] == "12m"
    assert int(longest[1]) < 12 * 60


def test_only_the_web_page_is_published_at_the_checked_address(compose: Any) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(published) == ["api-server"]
    (mapping,) = published["api-server"]
    address, _, port = mapping.rpartition(":${AIRFLOW__API__PORT}:")
    assert address.startswith("${AIRFLOW__API__HOST:?")
    assert port == "8080"
    assert compose["services"]["init"]["environment"]["PUBLISHED_ON"] == "${AIRFLOW__API__HOST}"
    assert SETTINGS["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_each_long_running_service_has_a_health_check_and_restarts(compose: Any) -> None:
    for name, service in compose["services"].items():
        if name == "init":
            assert service["restart"] == "no"
        else:
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_each_service_starts_after_its_dependencies(compose: Any) -> None:
    services = compose["services"]
    assert {name: each["condition"] for name, each in services["init"]["depends_on"].items()} == {
        "postgres": "service_healthy",
        "redis": "service_healthy",
        "localcloud": "service_healthy",
    }
    for name in _airflow_services(compose).keys() - {"init"}:
        assert services[name]["depends_on"]["init"]["condition"] == "service_completed_successfully", name


def test_images_are_pinned(compose: Any) -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    pulled = [image for image in bases if image != "base"] + [
        service["image"] for service in compose["services"].values() if service["image"] not in _BUILT
    ]
    assert len(pulled) == 3
    for image in pulled:
        assert re.search(r":\d+\.\d+(\.\d+)?-", image), image


def test_images_hold_hashed_requirements_and_run_as_a_user(compose: Any) -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    built = {stage.split()[2]: stage for stage in stages}
    for target, requirements in {"cloud": "requirements-cloud.txt", "airflow": "requirements.txt"}.items():
        assert f"--require-hashes -r {requirements}" in built[target]
        assert "USER sluice" in built[target]
    targets = {service["build"]["target"] for service in compose["services"].values() if "build" in service}
    assert targets == {"cloud", "airflow"}
