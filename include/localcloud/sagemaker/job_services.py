"""The services that jobs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.s3 import Objects
from localcloud.sagemaker.store import Store


@dataclass(frozen=True)
class Services:
    """What jobs read and write: their documents, S3 and CloudWatch Logs."""

    store: Store
    objects: Objects
    logs: Any
