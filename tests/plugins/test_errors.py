"""Airflow retries a transient error; an error that only a change can repair is not retried."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from sluice.errors import ConflictingWrite, MissingResource
from sluice_airflow.errors import one_line_errors


def refused(code: str, status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "CreateTrainingJob")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (refused("ThrottlingException"), False),
        (refused("ExpiredTokenException", 403), False),
        (refused("InternalFailure", 500), False),
        (EndpointConnectionError(endpoint_url="http://aws"), False),
        (ConflictingWrite("another writer"), False),
        (refused("ResourceLimitExceeded"), True),
        (refused("AccessDeniedException", 403), True),
        (refused("NoSuchBucket", 404), True),
        (ParamValidationError(report="no such member"), True),
        (MissingResource("gone"), True),
    ],
)
def test_only_transient_errors_are_retried(error: Exception, final: bool) -> None:
    @one_line_errors
    def task() -> None:
        raise error

    with pytest.raises(AirflowException) as failure:
        task()

    assert isinstance(failure.value, AirflowFailException) is final
    assert "\n" not in str(failure.value)


def test_reason_of_a_skip_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @one_line_errors
    def task() -> None:
        raise AirflowSkipException("there is nothing to do")

    with pytest.raises(AirflowSkipException):
        task()

    assert "skipped: there is nothing to do" in caplog.messages
