"""Files cut into records, and records packed into requests."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.sagemaker.transform.batches import SplitError, batches, body, records

MAGIC = 0xCED7230A
LINES = st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and b"\r" not in line), max_size=30)


def framed(content: bytes, part: int = 0) -> bytes:
    return struct.pack("<II", MAGIC, part << 29 | len(content)) + content + bytes(-len(content) % 4)


def tf_framed(content: bytes) -> bytes:
    return struct.pack("<QI", len(content), 1) + content + struct.pack("<I", 2)


@given(lines=LINES, most=st.integers(21, 60), strategy=st.sampled_from(["MultiRecord", "SingleRecord"]))
def test_every_record_is_sent_once_in_order_and_no_request_is_too_large(
    lines: list[bytes], most: int, strategy: str
) -> None:
    file = io.BytesIO(b"".join(line + b"\n" for line in lines))
    sent = list(batches(records(file, "Line"), strategy=strategy, split="Line", most=most))
    assert [line for batch in sent for line in batch] == lines
    assert all(len(body(batch, "Line")) <= most for batch in sent)
    if strategy == "SingleRecord":
        assert all(len(batch) == 1 for batch in sent)
    else:
        assert all(len(body([*before, after[0]], "Line")) > most for before, after in pairwise(sent)), (
            "a request is as full as it can be"
        )


@given(contents=st.lists(st.binary(max_size=20), max_size=10))
def test_framed_records_are_sent_as_they_are(contents: list[bytes]) -> None:
    for split, frame in (("RecordIO", framed), ("TFRecord", tf_framed)):
        frames = [frame(content) for content in contents]
        assert list(records(io.BytesIO(b"".join(frames)), split)) == frames


def test_the_parts_of_a_record_stay_together() -> None:
    cut = framed(b"abc", 1) + framed(b"de", 2) + framed(b"f", 3)
    assert list(records(io.BytesIO(cut + framed(b"g")), "RecordIO")) == [cut, framed(b"g")]


@pytest.mark.parametrize(
    ("split", "content"),
    [
        ("RecordIO", b"\x00" * 8),
        ("RecordIO", framed(b"abcd")[:-1]),
        ("RecordIO", framed(b"abcd", 1)),
        ("RecordIO", b"\x0a\x23"),
        ("TFRecord", tf_framed(b"abcd")[:-1]),
        ("TFRecord", b"\x01"),
    ],
)
def test_a_damaged_file_is_refused(split: str, content: bytes) -> None:
    with pytest.raises(SplitError):
        list(records(io.BytesIO(content), split))


def test_a_record_that_is_larger_than_a_request_is_refused() -> None:
    with pytest.raises(SplitError, match=r"Record 1 has 4 bytes, more than MaxPayloadInMB allows \(3 bytes\)"):
        list(batches(iter([b"abc", b"abcd"]), strategy="MultiRecord", split="None", most=3))
    assert list(batches(iter([b"abcd"]), strategy="MultiRecord", split="None", most=0)) == [[b"abcd"]]
