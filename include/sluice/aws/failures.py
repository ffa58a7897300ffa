"""Classifies failed calls to AWS: retry, change something, or create what is missing. No other code decides this.

AWS reports throttling and expired tokens with HTTP 400, so the status alone says little; the error code decides
(botocore's retry handler, ``botocore.retries.standard``; "Common errors" in the API reference of each service).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    UnknownServiceError,
)
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from sluice.errors import ConflictingWrite, RunInterrupted, SluiceError

T = TypeVar("T")

_THROTTLED = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "KMSThrottlingException",
    "LimitExceededException",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_TEMPORARY = {
    "ConditionalRequestConflict",
    "InternalError",
    "InternalFailure",
    "InternalFailureException",
    "ModelNotReadyException",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResourceConflictException",
    "ServiceUnavailable",
}
_TEMPORARY_STATUS = {408, 425, 429}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
_ABSENT = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "ObjectNotFoundException",
    "ParameterNotFound",
    "QueueDoesNotExist",
    "ResourceNotFound",
    "ResourceNotFoundException",
}
# SageMaker, CloudFormation and ECS have one code for invalid requests; only the message shows that something is absent.
_INVALID = {"InvalidParameterException", "ValidationError", "ValidationException"}
_ABSENT_WORDS = ("could not find", "not found", "does not exist")
_BUSY = "cannot update in-progress "  # the name of a resource may have the word, too
_QUOTA = {"ResourceLimitExceeded", "ServiceQuotaExceededException"}
_INSTANCES_OF: Mapping[str, str] = {
    "CreateHyperParameterTuningJob": "the candidate",
    "CreateTrainingJob": "the candidate",
    "CreateTransformJob": "the candidate",
    "CreateEndpoint": "Deployment",
    "CreateEndpointConfig": "Deployment",
    "UpdateEndpoint": "Deployment",
}
# botocore raises these before it sends anything: the request or the configuration is wrong.
_NEVER_SENT = (
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    UnknownServiceError,
)


class Failure(StrEnum):
    """The kind of a failed call.

    ``TRANSIENT`` failures pass by themselves. ``REFUSED`` and ``ABSENT`` ones last until something is changed.
    """

    TRANSIENT = "transient"
    REFUSED = "refused"
    ABSENT = "absent"


def failure(error: BotoCoreError | ClientError) -> Failure:
    """Return the kind of a failure.

    An error without a response counts as transient, because the network may recover.
    """
    if isinstance(error, ClientError):
        return _of_response(error)
    return Failure.REFUSED if isinstance(error, _NEVER_SENT) else Failure.TRANSIENT


def _of_response(error: ClientError) -> Failure:
    code, status, message = error_code(error), _status(error), _message(error).lower()
    if code in _THROTTLED | _EXPIRED | _TEMPORARY or status >= 500 or status in _TEMPORARY_STATUS:
        return Failure.TRANSIENT
    if code in _INVALID and message.startswith(_BUSY):
        return Failure.TRANSIENT  # SageMaker accepts the next change of an endpoint once the current one is done
    if code in _ABSENT or (code in _INVALID and any(words in message for words in _ABSENT_WORDS)):
        return Failure.ABSENT
    return Failure.REFUSED


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed a moment later."""
    if isinstance(error, BotoCoreError | ClientError):
        return failure(error) is Failure.TRANSIENT
    return isinstance(error, ConflictingWrite | RunInterrupted)


def is_throttled(error: BaseException) -> bool:
    """Return whether AWS throttled the call."""
    return isinstance(error, ClientError) and error_code(error) in _THROTTLED


def is_absent(error: ClientError) -> bool:
    """Return whether AWS responded that the requested thing does not exist."""
    return failure(error) is Failure.ABSENT


def is_declined(error: BaseException) -> bool:
    """Return whether the service certainly did nothing.

    After a server error, or without a response, it may have done what was requested.
    """
    return isinstance(error, ClientError) and _status(error) < 500


def error_code(error: ClientError) -> str:
    """Return the service's error code, for example ``NoSuchKey``."""
    return error.response.get("Error", {}).get("Code", "")


def _message(error: ClientError) -> str:
    return " ".join(error.response.get("Error", {}).get("Message", "").split())


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)


def patiently(call: Callable[[], T], seconds: float) -> T:
    """Retry a call while its failure is transient, then raise its last error.

    Args:
        call: The call. It must be safe to repeat.
        seconds: How long to retry, in seconds. A call that has begun is not interrupted.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    return retrying(call)


def explain(error: BaseException, unreachable: str = "check AWS_ENDPOINT_URL, credentials and region") -> str:
    """Describe an error in one line: what failed, AWS's own reason, and the next action.

    Args:
        error: Any error. Only errors of AWS and of Sluice name a next action.
        unreachable: The next action if the service did not respond. It depends on where the endpoint is configured.
    """
    if isinstance(error, ClientError):
        refused = f"AWS refused {error.operation_name} ({error_code(error)}: {_message(error)})"
        return f"{refused}; {_next_action(error)}"
    text = " ".join(str(error).split())
    if isinstance(error, BotoCoreError):
        return f"{text}; {unreachable} (on a laptop: make up)"
    return text if isinstance(error, SluiceError) else f"{type(error).__name__}: {text}"


def _next_action(error: ClientError) -> str:
    code, kind = error_code(error), failure(error)
    if code == "ModelError":
        return "the model that is deployed failed on this request: see the endpoint's CloudWatch log for the cause"
    if code in _QUOTA:
        return _quota_action(error)
    if code in _DENIED:
        return "check the credentials, and what they allow (for workers: the stack's WorkerPolicy)"
    if code in _EXPIRED:
        return "renew the credentials"
    if kind is Failure.TRANSIENT:
        return "AWS is busy or unavailable: try again"
    if kind is Failure.ABSENT:
        return "check the region, and that `sluice provision` and the earlier DAGs made it"
    return "change the request as the message says, then try again"


def _quota_action(error: ClientError) -> str:
    owner = _INSTANCES_OF.get(error.operation_name)
    setting = f"set another instance_type of {owner} in the pipeline's declaration, or " if owner else ""
    return f"{setting}request a higher quota in AWS Service Quotas"
