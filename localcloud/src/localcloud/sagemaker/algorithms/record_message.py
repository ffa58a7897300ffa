"""The protobuf message of a record: ``aialgs.data.Record``, by the schema in the developer guide.

The schema is built in code, so that protobuf's compiler isn't needed.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "aialgs.data"

_Field = descriptor_pb2.FieldDescriptorProto


def _field(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: _Field.Type.ValueType,
    *,
    repeated: bool = False,
    of: str | None = None,
) -> _Field:
    field = message.field.add(name=name, number=number, type=kind)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if of is not None:
        field.type_name = f".{_PACKAGE}.{of}"
    return field


def _add_tensor(file: descriptor_pb2.FileDescriptorProto, name: str, kind: _Field.Type.ValueType) -> None:
    """Add a tensor: its values, and if it is sparse also the key of each value and the shape."""
    message = file.message_type.add(name=name)
    for number, (field, type_) in enumerate(
        (("values", kind), ("keys", _Field.TYPE_UINT64), ("shape", _Field.TYPE_UINT64)), start=1
    ):
        _field(message, field, number, type_, repeated=True).options.packed = True


def _add_bytes(file: descriptor_pb2.FileDescriptorProto) -> None:
    message = file.message_type.add(name="Bytes")
    _field(message, "value", 1, _Field.TYPE_BYTES, repeated=True)
    _field(message, "content_type", 2, _Field.TYPE_STRING)


def _add_value(file: descriptor_pb2.FileDescriptorProto) -> None:
    message = file.message_type.add(name="Value")
    message.oneof_decl.add(name="value")
    for name, number, of in (
        ("float32_tensor", 2, "Float32Tensor"),
        ("float64_tensor", 3, "Float64Tensor"),
        ("int32_tensor", 7, "Int32Tensor"),
        ("bytes", 9, "Bytes"),
    ):
        _field(message, name, number, _Field.TYPE_MESSAGE, of=of).oneof_index = 0


def _add_record(file: descriptor_pb2.FileDescriptorProto) -> None:
    message = file.message_type.add(name="Record")
    for name, number in (("features", 1), ("label", 2)):
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _field(entry, "key", 1, _Field.TYPE_STRING)
        _field(entry, "value", 2, _Field.TYPE_MESSAGE, of="Value")
        _field(message, name, number, _Field.TYPE_MESSAGE, repeated=True, of=f"Record.{entry.name}")
    for name, number in (("uid", 3), ("metadata", 4), ("configuration", 5)):
        _field(message, name, number, _Field.TYPE_STRING)


def _message() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="record.proto", package=_PACKAGE, syntax="proto2")
    _add_tensor(file, "Float32Tensor", _Field.TYPE_FLOAT)
    _add_tensor(file, "Float64Tensor", _Field.TYPE_DOUBLE)
    _add_tensor(file, "Int32Tensor", _Field.TYPE_INT32)
    _add_bytes(file)
    _add_value(file)
    _add_record(file)
    # A separate pool, as another module of the process may describe the same package.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Record"))


Record = _message()
"""The message's class, as protobuf's compiler would make it."""
