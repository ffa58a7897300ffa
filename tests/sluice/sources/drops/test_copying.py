"""A copy is the content as it was listed, whatever its size, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from sluice.errors import ConflictingWrite
from sluice.lake.store import Lake
from sluice.sources.drops import copying
from sluice.sources.drops.copying import copy
from sluice.sources.drops.listing import Dropped

GIB = 1024**3
PART = 5 * 1024**2  # the smallest that S3 takes


def put(lake: Lake, body: bytes, **more: Any) -> Dropped:
    etag = lake.s3.put_object(Bucket=lake.bucket, Key="drops/a.csv", Body=body, **more)["ETag"].strip('"')
    return Dropped("drops/a.csv", "a.csv", len(body), etag)


def uploads(lake: Lake) -> list[Any]:
    return list(lake.s3.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", []))


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is larger than the smallest part is copied in parts."""
    monkeypatch.setattr(copying, "_MOST_AT_ONCE", PART)
    monkeypatch.setattr(copying, "_PART", PART)


def test_metadata_and_tags_of_a_drop_are_not_copied(lake: Lake) -> None:
    dropped = put(lake, b"x\n1\n", Metadata={"owner": "them"}, Tagging="owner=them")

    etag = copy(lake, dropped, "copy.csv")

    found = lake.s3.head_object(Bucket=lake.bucket, Key="copy.csv")
    assert (found["ETag"].strip('"'), found["Metadata"]) == (etag, {})
    assert lake.s3.get_object_tagging(Bucket=lake.bucket, Key="copy.csv")["TagSet"] == []
    assert lake.get("copy.csv") == b"x\n1\n"


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("size", [PART, PART + 1, 2 * PART, 2 * PART + 1])
def test_content_in_parts_is_that_of_the_drop(lake: Lake, size: int) -> None:
    body = b"".join(sha256(str(number).encode()).digest() for number in range(size // 32 + 1))[:size]

    copy(lake, put(lake, body), "copy.csv")

    assert lake.get("copy.csv") == body
    assert uploads(lake) == []


@pytest.mark.usefixtures("in_parts")
def test_drop_that_changed_leaves_no_parts(lake: Lake) -> None:
    dropped = put(lake, bytes(PART + 1))

    with pytest.raises(ConflictingWrite, match=r"drops/a\.csv was changed while it was landed"):
        copy(lake, replace(dropped, etag="0" * 32), "copy.csv")

    assert uploads(lake) == []
    assert lake.read("copy.csv") is None


@pytest.mark.parametrize("size", [5 * GIB, 5 * GIB + 1])
def test_more_than_five_gib_is_copied_in_parts_of_one(size: int) -> None:
    """S3's own limits, of which an emulator has none."""
    client = Calls()

    copy(Lake(client, "lake", "toy"), Dropped("a", "a", size, "e"), "b")  # type: ignore[arg-type]

    ranges = [call["CopySourceRange"] for name, call in client.made if name == "upload_part_copy"]
    if size == 5 * GIB:
        assert [name for name, _ in client.made] == ["copy_object"]
    else:
        assert sorted(ranges) == sorted(f"bytes={n * GIB}-{min((n + 1) * GIB, size) - 1}" for n in range(6))
    assert all(call["CopySourceIfMatch"] == '"e"' for name, call in client.made if "copy" in name)


class Calls:
    """A client of S3 that only tells what it was asked."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(**parameters: Any) -> dict[str, Any]:
            self.made.append((name, parameters))
            etag = {"ETag": '"e"'}
            return {"UploadId": "u", "CopyObjectResult": etag, "CopyPartResult": etag, **etag}

        return call
