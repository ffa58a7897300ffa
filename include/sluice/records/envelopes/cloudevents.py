"""CloudEvents in structured JSON (https://github.com/cloudevents/spec, "JSON Event Format", section 3.1)."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable

from typing_extensions import override

from sluice.records.envelopes import Fault, Inner, Opener, encoded
from sluice.records.envelopes.members import written_members

_JSON = '"application/json"'


class CloudEventsOpener(Opener):
    """Returns the data of an event.

    Data that is a JSON text is the event itself, unless its content type is JSON: then it is a JSON value like others.
    """

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        members = written_members(content)
        if "specversion" not in members:
            raise Fault("envelope: no_specversion")
        if "data_base64" in members:
            return (Inner(_bytes(members["data_base64"])),)
        data = members.get("data", "null")
        if data == "null":
            raise Fault("envelope: no_data")
        if data.startswith('"') and not _is_json(members.get("datacontenttype", _JSON)):
            return (Inner(encoded(json.loads(data))),)
        return (Inner(data.encode()),)


def _bytes(written: str) -> bytes:
    try:
        return b64decode(json.loads(written), validate=True)
    except (TypeError, ValueError) as error:
        raise Fault("envelope: data_base64") from error


def _is_json(content_type: str) -> bool:
    kind = content_type.strip('"').partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json"))
