"""The services that jobs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.data.s3 import Objects


@dataclass(frozen=True)
class Services:
    """What jobs read and write: their documents, S3 and CloudWatch Logs."""

    store: Store
    objects: Objects
    logs: Any
