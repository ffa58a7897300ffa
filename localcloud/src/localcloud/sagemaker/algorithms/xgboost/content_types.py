"""The content types of channels and requests, and their formats."""

from __future__ import annotations

from localcloud.sagemaker.jobs.child import UserError

_FORMATS = {
    "csv": "csv",
    "libsvm": "libsvm",
    "parquet": "parquet",
    "recordio-protobuf": "recordio-protobuf",
    "text/csv": "csv",
    "text/libsvm": "libsvm",
    "text/x-libsvm": "libsvm",
    "application/x-parquet": "parquet",
    "application/x-recordio-protobuf": "recordio-protobuf",
}

CONTENT_TYPES = tuple(_FORMATS)
DEFAULT = "text/libsvm"


def data_format(content_type: str | None) -> str:
    """Return the format of a content type: csv, libsvm, parquet or recordio-protobuf. None is libsvm.

    Raises:
        UserError: The content type is none of these; with the container's message.
    """
    if content_type is None:
        return "libsvm"
    name, parameters = parse_header(content_type.lower())
    if name not in _FORMATS:
        raise UserError(f"{content_type} is not an accepted ContentType: {', '.join(_FORMATS)}.")
    if _FORMATS[name] == "csv" and parameters.get("label_size", "1") != "1":
        raise UserError(
            f"{content_type} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
        )
    return _FORMATS[name]


def parse_header(value: str) -> tuple[str, dict[str, str]]:
    """Return the main value of a header and its parameters (RFC 2045); a parameter without ``=`` is ignored."""
    main, *parts = _split(value)
    parameters = {}
    for part in parts:
        name, equals, text = part.partition("=")
        if equals:
            parameters[name.strip().lower()] = _unquoted(text.strip())
    return main.strip(), parameters


def _split(value: str) -> list[str]:
    """Split at semicolons outside of quotes."""
    parts, quoted = [""], False
    for number, character in enumerate(value):
        if character == '"' and value[number - 1 : number] != "\\":
            quoted = not quoted
        if character == ";" and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace("\\\\", "\\").replace('\\"', '"')
    return text
