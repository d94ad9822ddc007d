"""Protobuf message classes from a schema table, for the brokers whose feeds are protobuf.

Generated protobuf modules are tied to the runtime they were made for (one major version up at most, none
down), so a broker's schema is a table and becomes classes through protobuf's public descriptor API, which every
runtime has. The classes live in a pool of their own: an official SDK in the same process cannot clash with them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,  # enums too: any number is let through, as proto3 wants it
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}

ParseError = message.DecodeError


def parsers(package: str, schema: Mapping[str, str]) -> Callable[[str], Callable[[bytes], Any]]:
    """Message name -> the function that reads such a message; it skips unknown fields and raises ParseError.

    `schema` is message -> `number name type, …`. `[]` behind a type marks what repeats, `?` a member of the
    message's only oneof, which is called `union`. A map is the repeated entries that it is on the wire.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in schema.items():
        described = file.message_type.add(name=name)
        for text in fields.split(", "):
            number, field_name, kind = text.split(" ")
            field = described.field.add(name=field_name, number=int(number), label=_Field.LABEL_OPTIONAL)
            if kind.endswith("[]"):
                field.label = _Field.LABEL_REPEATED
            elif kind.endswith("?"):
                field.oneof_index = 0
                if not described.oneof_decl:
                    described.oneof_decl.add(name="union")
            kind = kind.rstrip("[]?")
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())

    def parser(name: str) -> Callable[[bytes], Any]:
        read: Callable[[bytes], Any] = message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{package}.{name}")
        ).FromString
        return read

    return parser
