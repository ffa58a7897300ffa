"""Holds bodies that are read in blocks against the same bodies, read one by one by pydantic."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from tests.draining import record_from_sqs
from tests.sluice.lake_contents import read_parts
from tests.sluice.toy import EVENTS, message

from sluice.contracts.reading import Contract
from sluice.records.record import part_bytes
from sluice.steps.frames import parquet_bytes


def landed(texts: Iterable[str]) -> pa.Table:
    """Return the records of bodies."""
    records = [record_from_sqs(message(text, n), EVENTS) for n, text in enumerate(texts, 1)]
    return read_parts([part_bytes(records)[1]] if records else [])


def assert_read_as_one_by_one(contract: Contract, records: pa.Table) -> None:
    found, expected = contract.read(records), contract._each(records)

    assert found.reasons.to_pylist() == expected.reasons.to_pylist()
    assert found.rows.schema == expected.rows.schema
    assert found.rows.to_pylist() == expected.rows.to_pylist()
    assert parquet_bytes(found.rows.combine_chunks()) == parquet_bytes(expected.rows.combine_chunks())
