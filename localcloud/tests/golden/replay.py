"""Replays cases through the stand-in's API, and compares the answers with the transcripts."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xgboost
from botocore.exceptions import BotoCoreError, ClientError
from tests.golden import compare

from localcloud.testing import transcripts
from localcloud.testing.api import Answer, Api
from localcloud.testing.clouds import Cloud
from localcloud.testing.transcripts import Case, Exchange, FormatError

_AT_ONCE = 2
_REASON_CHARACTERS = 1024
_METRIC_LINE = re.compile(r"\[\d+\]\t")
_REASONS = {"user": "ClientError", "algorithm": "AlgorithmError", "platform": "InternalServerError"}


@dataclass(frozen=True)
class Result:
    """One comparison, of a training job or of one request; without differences, it has passed."""

    name: str
    known_defect: bool
    differences: tuple[str, ...]


def replay(cloud: Cloud, folders: list[Path]) -> Iterator[Result]:
    """Replay the cases of folders, two at a time, and return their results in order."""
    api = Api(cloud, "golden")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for results in pool.map(lambda numbered: _results(api, *numbered), enumerate(folders)):
            yield from results


def _results(api: Api, number: int, folder: Path) -> list[Result]:
    try:
        case = transcripts.read(folder)
    except FormatError as error:
        return [Result(folder.name, False, (str(error),))]
    # A case's name may be too long for a resource's, or have characters that a resource's may not have.
    name = f"case-{number}-{re.sub(r'[^a-zA-Z0-9]+', '-', case.name)}"[:50].strip("-")
    differences, model_data = _trained(api, name, case)
    results = [Result(case.name, case.known_defect, tuple(differences))]
    environments = {tuple(sorted(each.environment.items())) for each in case.exchanges}
    for place, environment in enumerate(sorted(environments)):
        chosen = [each for each in case.exchanges if tuple(sorted(each.environment.items())) == environment]
        served = _served(api, f"{name}-{place}", model_data, chosen, dict(environment))
        results += [
            Result(f"{case.name}/{each.name}", case.known_defect or each.known_defect, tuple(found))
            for each, found in zip(chosen, served, strict=True)
        ]
    return results


def _trained(api: Api, name: str, case: Case) -> tuple[list[str], str | None]:
    """Return the differences of the job, and the location of its model."""
    expected = case.expected
    try:
        api.upload(name, case)
        job = api.train(name, case)
    except ClientError as refusal:
        if expected["outcome"] == "failed" and expected.get("uncaught"):
            return [], None
        return [f"outcome: {expected['outcome']} was expected, the service refused the job: {refusal}"], None
    except (AssertionError, BotoCoreError) as error:
        return [f"the job could not be followed to its end: {error}"], None
    outcome, model_data = job["TrainingJobStatus"].lower(), job["ModelArtifacts"]["S3ModelArtifacts"]
    if outcome != expected["outcome"]:
        return [f"outcome: {expected['outcome']} was expected, {outcome} seen: {job.get('FailureReason')}"], None
    log = api.log(name)
    metric_lines = [line for line in log if _METRIC_LINE.match(line)]
    if outcome == "failed":
        # The service shows the first characters of a reason; the log has the whole reason.
        reason = "\n".join([job["FailureReason"], *(log if len(job["FailureReason"]) >= _REASON_CHARACTERS else [])])
        return _failed(expected, reason, metric_lines, api.files(model_data)), None
    output = api.files(model_data.replace("model.tar.gz", "output.tar.gz"))
    return _completed(expected, job, metric_lines, api.files(model_data), output), model_data


def _failed(expected: Mapping[str, Any], reason: str, metric_lines: list[str], model: Mapping[str, bytes]) -> list[str]:
    if expected.get("uncaught"):
        return []
    kind = _REASONS[expected["error_kind"]]
    before = expected.get("metric_lines_before_failure", [])
    return [
        *([] if reason.startswith(f"{kind}: ") else [f"a {kind} was expected: {reason!r}"]),
        *compare.salient(expected["message_salient"], reason),
        *compare.lines("exact", None, before, metric_lines),
        *compare.equal("model_files", sorted(expected["model_files"]), sorted(model)),
    ]


def _completed(
    expected: Mapping[str, Any],
    job: Any,
    metric_lines: list[str],
    model: Mapping[str, bytes],
    output: Mapping[str, bytes],
) -> list[str]:
    kinds, tolerance = expected["compare"], expected.get("tolerance")
    last = _pairs(metric_lines[-1]) if metric_lines else {}
    reported = {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}
    of_service = {name: value for name, value in last.items() if name in reported}
    return [
        *compare.equal("metric_line_count", expected["metric_line_count"], len(metric_lines)),
        *compare.lines(kinds["metric_lines"], tolerance, expected["metric_lines"], metric_lines),
        *compare.metrics(kinds["final_metrics"], tolerance, expected["final_metrics"], last),
        *compare.equal("FinalMetricDataList", of_service, reported),
        *compare.equal("model_files", sorted(expected["model_files"]), sorted(model)),
        *compare.equal("output_data_files", sorted(expected.get("output_data_files", [])), sorted(output)),
        *compare.equal("output_data_shape", expected.get("output_data_shape", {}), _shapes(output)),
        *_model(expected, model),
    ]


def _model(expected: Mapping[str, Any], files: Mapping[str, bytes]) -> Iterator[str]:
    if not files:
        return
    booster = xgboost.Booster()
    booster.load_model(bytearray(files[min(files)]))
    if "rounds" in expected:
        yield from compare.equal("rounds", expected["rounds"], booster.num_boosted_rounds())
    if "model_num_features" in expected:
        yield from compare.equal("model_num_features", expected["model_num_features"], booster.num_features())
    if "best_iteration" in expected:
        yield from compare.equal("best_iteration", str(expected["best_iteration"]), booster.attr("best_iteration"))
    if "best_score" in expected:
        yield from _number("best_score", expected["best_score"], booster.attr("best_score"), expected)
    if "model_base_score" in expected:
        seen = re.search(r'"base_score":"([^"]*)"', booster.save_config())
        yield from _number("model_base_score", expected["model_base_score"], seen and seen.group(1), expected)


def _number(what: str, wanted: Any, seen: str | None, expected: Mapping[str, Any]) -> list[str]:
    """Return the numbers of a text: one, or several in brackets, as the library writes them."""
    values = [[float(each) for each in str(text).strip("[]").split(",")] for text in (wanted, seen or "nan")]
    if len(values[0]) == len(values[1]) and all(
        compare.numbers(one, other, expected.get("tolerance")) for one, other in zip(*values, strict=True)
    ):
        return []
    return [f"{what}: {wanted} was expected, {seen} seen"]


def _pairs(line: str) -> dict[str, float]:
    """Return ``train:NAME`` and ``validation:NAME`` of a metric line."""
    pairs = (pair.rpartition(":") for pair in line.split("\t")[1:])
    return {name.replace("-", ":", 1): float(value) for name, _, value in pairs}


def _shapes(output: Mapping[str, bytes]) -> dict[str, dict[str, int]]:
    tables = {name: list(csv.reader(content.decode().splitlines())) for name, content in output.items()}
    return {name: {"rows": len(table), "columns": len(table[0])} for name, table in tables.items()}


def _served(
    api: Api, name: str, model_data: str | None, exchanges: list[Exchange], environment: Mapping[str, str]
) -> list[list[str]]:
    """Return the differences of the answers of an endpoint with this environment, by exchange."""
    if model_data is None:
        return [["there is no model to invoke"] for _ in exchanges]
    try:
        with api.endpoint(name, model_data, environment):
            return [_answered(exchange, api.invoke(name, exchange)) for exchange in exchanges]
    except (AssertionError, BotoCoreError, ClientError, OSError) as error:
        return [[f"the endpoint doesn't serve: {error}"] for _ in exchanges]


def _answered(exchange: Exchange, answer: Answer) -> list[str]:
    expected = exchange.expected
    kind, content_type = expected["compare"], expected.get("content_type")
    if expected["status"] != answer.status:
        return [f"status: {expected['status']} was expected, {answer.status} seen: {answer.body[:300]!r}"]
    if kind == "status":
        return []
    if kind == "salient":
        return compare.salient(expected["body_salient"], answer.body.decode(errors="replace"))
    seen = answer.content_type or content_type
    return [
        *(compare.equal("content_type", content_type, seen) if answer.body else []),
        *compare.bodies(
            kind, expected.get("tolerance"), exchange.expected_body or b"", answer.body, content_type or ""
        ),
    ]
