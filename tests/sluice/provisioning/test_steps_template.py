"""A template has what steps on Lambda and Fargate, and a training by Step Functions, need, and nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import STEP_IMAGE, Cloud
from tests.sluice.provisioning.shapes import KEY, SHAPES
from tests.sluice.provisioning.stacks import Policy, bucket_of
from tests.sluice.provisioning.steps_elsewhere import (
    ARTEFACTS,
    IMAGE,
    NETWORK,
    TAGS,
    folders,
    guarded,
    pipeline,
    without_network,
)
from tests.sluice.toy import TOY

from sluice.compute.artefacts import Artefacts
from sluice.declaration import Input, Lambda, Pipeline, Worker
from sluice.errors import DeclarationError
from sluice.provisioning.provision import provision
from sluice.provisioning.template import render, template_body
from sluice.steps.code import code_fingerprint

ELSEWHERE = "AWS::Lambda::", "AWS::ECS::", "AWS::StepFunctions::", "AWS::Scheduler::", "AWS::Logs::"
HERE = "us-east-1:000000000000"
NAMES = ("placed", "guarded_steps", "bare", "made", "moved", "changed", "namesakes")


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pipelines")
    with folders(folder, *NAMES):
        yield folder


@pytest.fixture(scope="module")
def made(cloud: Cloud, code: Path) -> Mapping[str, str]:
    """The outputs of the stack of the pipeline ``made``."""
    return provision(cloud, pipeline("made"), stored_archives(cloud))


def stored_archives(cloud: Cloud) -> Artefacts:
    """Put archives where the template names them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sluice/__init__.py", "")
    assert ARTEFACTS.code is not None
    assert ARTEFACTS.layer is not None
    cloud.client("s3").create_bucket(Bucket=ARTEFACTS.code.bucket)
    for each in (ARTEFACTS.code, ARTEFACTS.layer):
        cloud.client("s3").put_object(Bucket=each.bucket, Key=each.key, Body=buffer.getvalue())
    return replace(ARTEFACTS, image=STEP_IMAGE)


def resources(declared: Pipeline) -> dict[str, Any]:
    found: dict[str, Any] = render(declared, ARTEFACTS).to_dict()["Resources"]
    return found


def of_kind(declared: Pipeline, *kinds: str) -> dict[str, str]:
    """Return the types of a template's resources that begin with one of these."""
    return {name: each["Type"] for name, each in resources(declared).items() if each["Type"].startswith(kinds)}


def lint(*templates: Path) -> str:
    """Return what cfn-lint has to say. One process for all: its start takes seconds."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("cfn-lint"),
            *("--regions", "us-east-1", "eu-central-1"),
            *("--template", *templates),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_template_is_valid_and_so_is_the_machine_in_it(tmp_path: Path) -> None:
    for each in (pipeline("placed"), guarded("guarded_steps"), without_network("bare")):
        (tmp_path / f"{each.name}.json").write_text(template_body(each, ARTEFACTS))
    wrong = template_body(pipeline("placed"), ARTEFACTS).replace(r"\"Type\":\"Wait\"", r"\"Type\":\"Sleep\"")
    (tmp_path / "wrong.json").write_text(wrong)

    found = lint(*sorted(tmp_path.iterdir()))

    assert "'Sleep' is not one of" in found
    assert {line for line in found.splitlines() if line.startswith("/")} == {
        line for line in found.splitlines() if line.startswith(str(tmp_path / "wrong.json"))
    }, found
    assert {line.split()[0] for line in found.splitlines() if line and not line.startswith("/")} == {"E3601"}, found


@pytest.mark.parametrize("declare", [pipeline, guarded])
def test_exactly_what_is_declared_is_in_the_template(declare: Any) -> None:
    assert of_kind(declare("placed"), *ELSEWHERE, "AWS::IAM::Role") == {
        **{f"{step}Logs": "AWS::Logs::LogGroup" for step in ("Conform", "Doubled", "Running", "Summed", "Training")},
        **{f"{step}Function": "AWS::Lambda::Function" for step in ("Conform", "Doubled", "Summed", "Training")},
        **{f"{step}Invocations": "AWS::Lambda::EventInvokeConfig" for step in ("Conform", "Doubled", "Summed")},
        "DoubledLibraries": "AWS::Lambda::LayerVersion",
        "Cluster": "AWS::ECS::Cluster",
        **{f"{step}Task": "AWS::ECS::TaskDefinition" for step in ("Running", "Summed")},
        "TrainingMachine": "AWS::StepFunctions::StateMachine",
        "TrainingSchedule": "AWS::Scheduler::Schedule",
        **{
            f"{name}Role": "AWS::IAM::Role"
            for name in (
                *("Step", "StepExecution", "Training"),
                *("TrainingFunction", "TrainingMachine", "TrainingSchedule"),
            )
        },
    }


def test_what_no_step_needs_is_not_there() -> None:
    assert of_kind(without_network("bare"), *ELSEWHERE, "AWS::IAM::Role").keys() == {
        *("ConformFunction", "ConformInvocations", "ConformLogs", "StepRole"),
        *("TrainingFunction", "TrainingFunctionRole", "TrainingLogs", "TrainingMachine", "TrainingMachineRole"),
        *("TrainingSchedule", "TrainingScheduleRole", "TrainingRole"),
    }
    for in_worker in (TOY, SHAPES["guarded"]):
        assert of_kind(in_worker, *ELSEWHERE) == {}
        actions = {action for each in _worker_policies(in_worker) for action in each.actions}
        assert not [action for action in actions if action.startswith(("lambda:", "ecs:", "states:"))]


def _worker_policies(declared: Pipeline) -> list[Policy]:
    found = [each for each in resources(declared).values() if each["Type"] == "AWS::IAM::ManagedPolicy"]
    return [Policy.of(_resolved(each["Properties"]["PolicyDocument"])) for each in found]


def _resolved(document: Any) -> Any:
    """Return a policy document whose references are texts."""
    return json.loads(json.dumps(document), object_hook=lambda each: each.get("Fn::Sub", each))


@pytest.mark.parametrize(("step", "name"), [("train", "namesakes-train"), ("training", "TrainingLogs")])
def test_step_with_a_name_of_the_machine_is_refused_before_any_call(step: str, name: str) -> None:
    bare = without_network("namesakes")
    steps = (replace(bare.steps[0], name=step), replace(bare.steps[1], reads=(Input(step),)), bare.steps[2])

    with pytest.raises(DeclarationError, match=rf"2 resources .* be called {name}, .*rename a source or a step"):
        render(replace(bare, steps=steps), ARTEFACTS)


def test_step_in_the_image_needs_its_address() -> None:
    with pytest.raises(
        DeclarationError, match=r"^pipeline bare runs steps in the image .* `sluice provision bare --im"
    ):
        template_body(without_network("bare"))


def test_step_from_archives_needs_a_place_for_them() -> None:
    with pytest.raises(DeclarationError, match=r"^pipeline placed runs .* zip .* --archives s3://BUCKET/PREFIX/`$"):
        template_body(pipeline("placed"), Artefacts(IMAGE))


def test_resources_have_the_tags_of_the_pipeline_beside_their_own() -> None:
    made = resources(guarded("guarded_steps"))
    tagged = [
        name
        for name in made
        if made[name]["Type"].startswith(("AWS::Lambda::Function", "AWS::ECS", "AWS::StepFunctions"))
    ]
    for name in tagged:
        tags = {each["Key"]: each["Value"] for each in made[name]["Properties"]["Tags"]}
        assert tags == {**TAGS, "sluice:pipeline": "guarded_steps"}, name
    assert len(tagged) == 8


def test_key_and_network_are_those_of_the_pipeline() -> None:
    with_key, without = resources(guarded("guarded_steps")), resources(pipeline("placed"))
    for role in ("StepRole", "TrainingFunctionRole"):
        assert _role(with_key, role).resources("kms:Decrypt") == {KEY}
        assert _role(without, role).resources("kms:Decrypt") == set()
    for function in ("ConformFunction", "DoubledFunction", "SummedFunction", "TrainingFunction"):
        assert without[function]["Properties"]["VpcConfig"] == {
            "SubnetIds": list(NETWORK.subnets),
            "SecurityGroupIds": list(NETWORK.security_groups),
        }
    bare = resources(without_network("bare"))
    for function in ("ConformFunction", "TrainingFunction"):
        assert "VpcConfig" not in bare[function]["Properties"]
    for role in ("StepRole", "TrainingFunctionRole"):
        assert "ec2:CreateNetworkInterface" in _role(without, role).actions
        assert "ec2:CreateNetworkInterface" not in _role(bare, role).actions


def _role(made: Mapping[str, Any], name: str) -> Policy:
    (policy,) = made[name]["Properties"]["Policies"]
    return Policy.of(_resolved(policy["PolicyDocument"]))


def test_task_is_started_with_the_rights_to_pull_its_image_and_to_write_its_log() -> None:
    starts = _role(resources(pipeline("placed")), "StepExecutionRole")
    pull = {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    assert starts.actions == {*pull, "ecr:GetAuthorizationToken", "logs:CreateLogStream", "logs:PutLogEvents"}
    repository = "arn:${AWS::Partition}:ecr:us-east-1:123456789012:repository/sluice-step"
    assert all(starts.resources(action) == {repository} for action in pull)


def test_each_role_is_taken_by_its_services_only() -> None:
    made, trusted = resources(pipeline("placed")), {}
    for name in (each for each in made if made[each]["Type"] == "AWS::IAM::Role"):
        (statement,) = made[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        service = statement["Principal"]["Service"]
        trusted[name] = service if isinstance(service, str) else tuple(service)
    assert trusted == {
        "StepRole": ("lambda.amazonaws.com", "ecs-tasks.amazonaws.com"),
        "StepExecutionRole": ("ecs-tasks.amazonaws.com",),
        "TrainingRole": "sagemaker.amazonaws.com",
        "TrainingFunctionRole": "lambda.amazonaws.com",
        "TrainingMachineRole": "states.amazonaws.com",
        "TrainingScheduleRole": "scheduler.amazonaws.com",
    }


def test_machine_and_schedule_may_start_their_own_only() -> None:
    made = resources(pipeline("placed"))
    machine, schedule = _role(made, "TrainingMachineRole"), _role(made, "TrainingScheduleRole")
    here = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:"
    function = f"{here % 'lambda'}function:placed-train"
    assert (machine.actions, machine.resources("lambda:InvokeFunction")) == (
        {"lambda:InvokeFunction"},
        {function, f"{function}:*"},
    )
    assert schedule.resources("states:StartExecution") == {f"{here % 'states'}stateMachine:placed-train"}
    assert schedule.actions == {"states:StartExecution"}


FUNCTIONS: Mapping[str, tuple[str, str, int, int, int]] = {
    "conform": ("Image", "/sluice/made/conform", 2048, 900, 10),
    "doubled": ("Zip", "/sluice/made/doubled", 512, 60, 3),
    "summed": ("Image", "/sluice/made/summed", 1024, 900, 10),
    "train": ("Image", "/aws/lambda/made-train", 3008, 900, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_as_declared(cloud: Cloud, made: Mapping[str, str], name: str) -> None:
    client, function = cloud.client("lambda"), f"made-{name}"
    found = client.get_function_configuration(FunctionName=function)
    reserved = client.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"]
    assert (
        found["PackageType"],
        found["LoggingConfig"]["LogGroup"],
        found["MemorySize"],
        found["Timeout"],
        reserved,
    ) == FUNCTIONS[name]
    assert found["EphemeralStorage"] == {"Size": 512}


def test_service_tries_nothing_twice_and_keeps_events_for_six_hours(cloud: Cloud, made: Mapping[str, str]) -> None:
    for step in ("conform", "doubled", "summed"):
        found = cloud.client("lambda").get_function_event_invoke_config(
            FunctionName=f"made-{step}", Qualifier="$LATEST"
        )
        assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 21_600)


def test_function_and_task_name_the_code_for_which_they_were_made(cloud: Cloud, made: Mapping[str, str]) -> None:
    declared, client = pipeline("made"), cloud.client("lambda")
    for name in ("conform", "doubled", "summed"):
        variables = client.get_function_configuration(FunctionName=f"made-{name}")["Environment"]["Variables"]
        assert variables == {"SLUICE_CODE": code_fingerprint(declared, declared.step(name))}
    for name in ("running", "summed"):
        environment = _task(cloud, name)["containerDefinitions"][0]["environment"]
        variables = {each["name"]: each["value"] for each in environment}
        assert variables["SLUICE_CODE"] == code_fingerprint(declared, declared.step(name))


def _task(cloud: Cloud, step: str) -> Any:
    return cloud.client("ecs").describe_task_definition(taskDefinition=f"made-{step}")["taskDefinition"]


@pytest.mark.parametrize(("step", "size"), [("running", ("512", "2048")), ("summed", ("1024", "4096"))])
def test_task_definition_is_as_declared(
    cloud: Cloud, made: Mapping[str, str], step: str, size: tuple[str, str]
) -> None:
    found = _task(cloud, step)
    (container,) = found["containerDefinitions"]

    assert (found["cpu"], found["memory"]) == size
    assert (found["networkMode"], found["requiresCompatibilities"]) == ("awsvpc", ["FARGATE"])
    assert (container["name"], container["image"]) == ("step", STEP_IMAGE)
    assert container["entryPoint"] == ["python", "-m", "sluice.compute.handler"]
    assert container["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": f"/sluice/made/{step}",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "fargate",
        },
    }
    assert "-StepRole-" in found["taskRoleArn"]
    assert "-StepExecutionRole-" in found["executionRoleArn"]


def test_cluster_has_spare_capacity_only_if_a_step_wants_it(cloud: Cloud, made: Mapping[str, str]) -> None:
    (cluster,) = cloud.client("ecs").describe_clusters(clusters=["made"])["clusters"]
    assert set(cluster["capacityProviders"]) == {"FARGATE", "FARGATE_SPOT"}
    on_demand = replace(pipeline("placed"), steps=tuple(replace(each, runtime=Worker()) for each in TOY.steps))
    auto = replace(on_demand, steps=(*on_demand.steps, pipeline("placed").steps[-1]))
    assert resources(auto)["Cluster"]["Properties"]["CapacityProviders"] == ["FARGATE"]


def test_logs_are_kept_for_a_month(cloud: Cloud, made: Mapping[str, str]) -> None:
    groups = [
        group
        for prefix in ("/sluice/made/", "/aws/lambda/made-train")
        for group in cloud.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    ]
    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        **{f"/sluice/made/{step}": 30 for step in ("conform", "doubled", "running", "summed")},
        "/aws/lambda/made-train": 30,
    }


def test_machine_is_found_and_its_schedule_starts_it(cloud: Cloud, made: Mapping[str, str]) -> None:
    arn = f"arn:aws:states:{HERE}:stateMachine:made-train"
    found = cloud.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    acts = [each for each in json.loads(found["definition"])["States"].values() if each["Type"] == "Task"]
    schedule = cloud.client("scheduler").get_schedule(Name="made-train")

    assert made["TrainingMachine"] == arn
    assert (found["name"], found["status"]) == ("made-train", "ACTIVE")
    assert {each["Arguments"]["FunctionName"] for each in acts} == {f"arn:aws:lambda:{HERE}:function:made-train"}
    assert (schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"]) == ("rate(7 days)", "UTC")
    assert (schedule["Target"]["Arn"], schedule["Target"]["Input"]) == (arn, "{}")
    assert "-TrainingScheduleRole-" in schedule["Target"]["RoleArn"]


def test_step_role_reaches_its_own_pipeline_only(cloud: Cloud, made: Mapping[str, str]) -> None:
    arn = cloud.client("lambda").get_function_configuration(FunctionName="made-conform")["Role"]
    document = cloud.client("iam").get_role_policy(RoleName=arn.rpartition("/")[2], PolicyName="run-steps")
    policy, lake = Policy.of(document["PolicyDocument"]), f"arn:aws:s3:::{bucket_of('made')}"

    assert policy.resources("s3:GetObject") == policy.resources("s3:PutObject") == {f"{lake}/made/*"}
    assert policy.resources("s3:ListBucket") == {lake}
    assert policy.resources("ssm:GetParametersByPath") == {
        f"arn:aws:ssm:{HERE}:parameter/sluice/made",
        f"arn:aws:ssm:{HERE}:parameter/sluice/made/*",
    }
    assert policy.resources("logs:PutLogEvents") == {
        f"arn:aws:logs:{HERE}:log-group:/sluice/made/{step}:log-stream:*"
        for step in ("conform", "doubled", "running", "summed")
    }
    assert all(action.startswith("ec2:") for action in policy.on_everything())


def one_function(name: str, **changes: Any) -> Pipeline:
    return replace(TOY, name=name, steps=(replace(TOY.steps[0], runtime=Lambda(**changes)), *TOY.steps[1:]))


def test_changed_size_and_changed_code_update_the_function_in_place(cloud: Cloud, code: Path) -> None:
    client, name, artefacts = cloud.client("lambda"), "changed-conform", Artefacts(STEP_IMAGE)
    provision(cloud, one_function("changed", memory_mb=512), artefacts)
    before = client.get_function_configuration(FunctionName=name)

    provision(cloud, one_function("changed", memory_mb=1024, concurrency=2), artefacts)
    larger = client.get_function_configuration(FunctionName=name)
    (code / "changed" / "contract.py").write_text("from pydantic import BaseModel\n\nclass Reading(BaseModel): ...\n")
    provision(cloud, one_function("changed", memory_mb=1024, concurrency=2), artefacts)
    after = client.get_function_configuration(FunctionName=name)

    assert (before["MemorySize"], larger["MemorySize"]) == (512, 1024)
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 2
    assert after["FunctionArn"] == before["FunctionArn"]
    assert after["Environment"] != larger["Environment"]


def test_step_that_moves_into_the_worker_leaves_nothing(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    provision(cloud, one_function("moved"), Artefacts(STEP_IMAGE))
    assert client.get_function_configuration(FunctionName="moved-conform")["State"] == "Active"

    provision(cloud, replace(TOY, name="moved"))

    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_configuration(FunctionName="moved-conform")
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix="/sluice/moved/")["logGroups"] == []
