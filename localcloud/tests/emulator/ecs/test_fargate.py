"""The sizes that tasks may have on Fargate."""

from __future__ import annotations

import pytest

from localcloud.emulator.ecs.fargate import MEMORY, Size, size
from localcloud.service_model.errors import ServiceError


def test_each_cpu_has_the_memory_of_the_developer_guide() -> None:
    """Source: Amazon ECS Developer Guide, "Task CPU and memory", in GB."""
    assert {cpu: [each / 1024 for each in memory] for cpu, memory in MEMORY.items()} == {
        256: [0.5, 1, 2],
        512: [1, 2, 3, 4],
        1024: [*range(2, 9)],
        2048: [*range(4, 17)],
        4096: [*range(8, 31)],
        8192: [*range(16, 61, 4)],
        16384: [*range(32, 121, 8)],
    }


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        ("256", "512", Size(256, 512)),
        (".25 vCPU", "0.5GB", Size(256, 512)),
        ("1 vcpu", "8 GB", Size(1024, 8192)),
        ("16384", "122880", Size(16384, 122880)),
    ],
)
def test_a_size_may_have_units(cpu: str, memory: str, expected: Size) -> None:
    assert size(cpu, memory) == expected


@pytest.mark.parametrize(("units", "cores"), [(256, 1), (1024, 1), (2048, 2), (16384, 16)])
def test_a_task_keeps_as_many_cores_busy_as_it_has_virtual_cpus_at_least_one(units: int, cores: int) -> None:
    assert Size(units, 0).cores == cores


@pytest.mark.parametrize(
    ("cpu", "memory", "message"),
    [
        ("256", "4096", "No Fargate configuration exists for given values: 256 CPU, 4096 memory."),
        ("8192", "17408", "No Fargate configuration exists for given values: 8192 CPU, 17408 memory."),
        ("128", "512", "No Fargate configuration exists for given values: 128 CPU, 512 memory."),
        ("32768", "122880", "No Fargate configuration exists for given values: 32768 CPU, 122880 memory."),
        ("1 cpu", "512", "Invalid 'cpu' setting for task."),
        ("256", "-1", "Invalid 'memory' setting for task."),
    ],
)
def test_another_size_is_refused(cpu: str, memory: str, message: str) -> None:
    with pytest.raises(ServiceError) as refused:
        size(cpu, memory)
    assert refused.value.code == "ClientException"
    assert refused.value.message.startswith(message)
