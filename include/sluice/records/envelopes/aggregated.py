"""Records of the Kinesis Producer Library, which packs several into one.

The format is described in https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md: a magic
number, a protobuf message, and its MD5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from typing_extensions import override

from sluice.records.envelopes import Inner, Opener

_MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST_BYTES = 16


class AggregatedOpener(Opener):
    """Returns the packed records with their partition keys.

    Content that only looks packed is a plain record.
    """

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        if not content.startswith(_MAGIC):
            return (Inner(content),)
        packed, digest = content[len(_MAGIC) : -_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.md5(packed, usedforsecurity=False).digest() != digest:
            return (Inner(content),)
        return _records(content, packed)


def _records(content: bytes, packed: bytes) -> Iterator[Inner]:
    from google.protobuf.message import DecodeError  # slow to import, and few streams need it

    message = _message_class()()
    try:
        message.ParseFromString(packed)
    except DecodeError:
        yield Inner(content)
        return
    keys = message.partition_key_table
    for record in message.records:
        known = record.partition_key_index < len(keys)
        fault = None if known else "envelope: no_partition_key"
        yield Inner(record.data, fault, keys[record.partition_key_index] if known else None)


@cache
def _message_class() -> Any:
    """Return the class of ``AggregatedRecord``, made from its description: no generated code to keep in step."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="aggregated.proto", package="sluice", syntax="proto2")
    aggregated = file.message_type.add(name="AggregatedRecord")
    aggregated.field.add(name="partition_key_table", number=1, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    aggregated.field.add(
        name="records", number=3, type=field.TYPE_MESSAGE, type_name=".sluice.Record", label=field.LABEL_REPEATED
    )
    record = file.message_type.add(name="Record")
    record.field.add(name="partition_key_index", number=1, type=field.TYPE_UINT64, label=field.LABEL_REQUIRED)
    record.field.add(name="data", number=3, type=field.TYPE_BYTES, label=field.LABEL_REQUIRED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sluice.AggregatedRecord"))
