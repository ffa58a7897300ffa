"""Copies an object within a bucket, as it was when it was listed.

Only its content is copied. So no right to its tags is needed, and no name that another system has chosen for metadata
comes into the lake.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code
from sluice.errors import ConflictingWrite
from sluice.lake.store import Lake
from sluice.sources.drops.listing import Dropped

# One call copies at most 5 GiB; a part has at most 5 GiB, and there are at most 10,000 (Amazon S3 API reference,
# CopyObject, UploadPartCopy; user guide, "Amazon S3 multipart upload limits").
_MOST_AT_ONCE = 5 * 1024**3
_PART = 1024**3
_SIDE_BY_SIDE = 4


def copy(lake: Lake, source: Dropped, target: str) -> str:
    """Copy an object.

    Args:
        lake: The lake, whose bucket has both.
        source: The object, as it was listed.
        target: The key of the copy.

    Returns:
        The ETag of the copy, without its quotes.

    Raises:
        ConflictingWrite: the object was changed or removed since it was listed.
    """
    parameters: Any = {
        "CopySource": {"Bucket": lake.bucket, "Key": source.key},
        "CopySourceIfMatch": f'"{source.etag}"',
    }
    try:
        if source.size <= _MOST_AT_ONCE:
            copied = lake.s3.copy_object(
                Bucket=lake.bucket, Key=target, MetadataDirective="REPLACE", TaggingDirective="REPLACE", **parameters
            )
            return copied["CopyObjectResult"]["ETag"].strip('"')
        return _copy_in_parts(lake, source, target, parameters)
    except ClientError as error:
        if error_code(error) not in {"PreconditionFailed", "NoSuchKey"}:
            raise
        raise ConflictingWrite(
            f"{lake.uri(source.key)} was changed while it was landed; clear this task once its sender is done"
        ) from error


def _copy_in_parts(lake: Lake, source: Dropped, target: str, parameters: Any) -> str:
    upload: Any = {"Bucket": lake.bucket, "Key": target}
    upload["UploadId"] = lake.s3.create_multipart_upload(**upload)["UploadId"]

    def part(number: int) -> dict[str, Any]:
        first = (number - 1) * _PART
        last = min(first + _PART, source.size) - 1
        copied = lake.s3.upload_part_copy(
            **upload, **parameters, PartNumber=number, CopySourceRange=f"bytes={first}-{last}"
        )
        return {"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]}

    try:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            parts: Any = list(pool.map(part, range(1, -(-source.size // _PART) + 1)))
        return lake.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["ETag"].strip('"')
    except BaseException:
        lake.s3.abort_multipart_upload(**upload)  # its parts would be billed for ever
        raise
