"""A snapshot: a frozen list of partition revisions, and the training channels that are made from them.

Its name is its fingerprint. The same revisions and the same declaration give the same fingerprint and the same bytes. A
snapshot that exists is reused, not written again (P4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from sluice.dataset.channels import CHANNELS, Channel, Form, channel_key, form_of, write_channel
from sluice.dataset.encodings import Encoding
from sluice.dataset.fitting import FOLDS, Fitting
from sluice.dataset.groups import Groups
from sluice.dataset.labels import Labels
from sluice.dataset.profile import Sample
from sluice.dataset.raw_rows import RawRows, read_rows
from sluice.declaration.training import Training
from sluice.errors import MissingResource, NotEnoughData, OutdatedObject
from sluice.lake.division import require_division
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest, digest_of
from sluice.lake.parsing import parsed
from sluice.lake.partitions import Calendar, Partition, format_ranges, last_partition_at, parse_ranges, partition_at
from sluice.lake.store import Lake
from sluice.steps.frames import read_object, to_frame
from sluice.steps.lacking import held_back
from sluice.steps.reach import reach
from sluice.workspace import Workspace

__all__ = [
    "CHANNELS",
    "Channel",
    "Form",
    "Snapshot",
    "channel_key",
    "channel_partitions",
    "form_of",
    "make_snapshot",
    "read_rows",
    "read_snapshot",
    "snapshot_rows",
]

_ENCODING = 2  # increase it when the same rows are written as other bytes


class Snapshot(BaseModel):
    """The content of ``snapshot.json``.

    Attributes:
        fingerprint: Its name, 32 hexadecimal digits.
        dataset: The step whose rows it holds.
        label: The column that is learned.
        scores: How many numbers a model that was trained on it answers for each row; None if that was not recorded.
        encoding: How the raw features become what the model gets; fitted on the train rows.
        forms: The names of the forms in which the channels were written.
        revisions: The digests of the partitions, by their keys.
        partitions: The ranges of partitions of each channel.
        rows: The number of rows of each channel.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    fingerprint: str
    dataset: str
    label: str
    scores: int | None = None
    encoding: Encoding
    forms: tuple[str, ...]
    revisions: Mapping[str, str]
    partitions: Mapping[Channel, str]
    rows: Mapping[Channel, int]


def read_snapshot(lake: Lake, fingerprint: str) -> Snapshot:
    """Return a snapshot.

    Args:
        lake: The lake of the snapshot.
        fingerprint: Its fingerprint, 32 hexadecimal digits.

    Raises:
        MissingResource: there is none, or an older version of Sluice has written it.
    """
    key = lake.layout.snapshot(fingerprint)
    try:
        return parsed(lake.uri(key), lake.get(key), Snapshot)
    except OutdatedObject as error:
        raise MissingResource(
            f"{lake.uri(key)} was written by an older version of Sluice; run the training again"
        ) from error


def snapshot_rows(lake: Lake, fingerprint: str, channel: Channel) -> pd.DataFrame:
    """Return the raw rows of a channel, in the order of its rows.

    Args:
        lake: The lake of the snapshot.
        fingerprint: Its fingerprint.
        channel: ``validation`` or ``test``; the raw rows that train are not kept.

    Returns:
        The label, the features, the group of a ranking, and the columns of the gate's slices. The label and numbers are
        floats; a category and a group are text, or a whole number; a slice that is none of these is text.

    Raises:
        MissingResource: there are none.
    """
    key = lake.layout.snapshot_rows(fingerprint, channel)
    remedy = f"remove {lake.uri(lake.layout.snapshot(fingerprint))} and run the training again"
    return to_frame([read_object(lake.uri(key), lake.get(key), remedy)])


def make_snapshot(workspace: Workspace, first: str | None = None, last: str | None = None) -> Snapshot:
    """Freeze the closed partitions from ``first`` to ``last``, and write the training channels.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        first: The first partition, as an ISO date or date-time (UTC); None: from the oldest on.
        last: The last partition, included; None: up to the newest.

    Returns:
        The snapshot; if it exists already, nothing is written.

    Raises:
        SluiceError: a bound is no date.
        NotEnoughData: a part has no partition, or too few rows, or not the labels that it needs.
        DeclarationError: the rows lack a column that is declared, or hold a value that the training does not take.
        DeclarationError: the lake is divided otherwise than the pipeline declares.
    """
    require_division(workspace.lake)
    lake, pipeline = workspace.lake, workspace.pipeline
    training = pipeline.require_training()
    manifests = _closed(workspace, first, last)
    split = _split(workspace, list(manifests))
    revisions = {manifest.partition: manifest.digest for manifest in manifests.values()}
    forms = sorted({form_of(candidate) for candidate in training.candidates}, key=lambda form: form.name)
    keys = {channel: [each.key for each in split[channel]] for channel in CHANNELS}
    names = [form.name for form in forms]
    fingerprint = digest_of([_ENCODING, _declared(training), keys, revisions, names])[:32]
    key = lake.layout.snapshot(fingerprint)
    if lake.read(key) is None:
        ranges = {channel: format_ranges(split[channel]) for channel in CHANNELS}
        channels = {channel: [manifests[each] for each in split[channel]] for channel in CHANNELS}
        encoding, rows = _write(workspace, fingerprint, forms, channels)
        made = Snapshot(
            fingerprint=fingerprint,
            dataset=training.rows,
            label=training.label,
            scores=training.problem.scores,
            encoding=encoding,
            forms=tuple(names),
            revisions=revisions,
            partitions=ranges,
            rows=rows,
        )
        lake.create(key, made.model_dump_json().encode())
    snapshot = read_snapshot(lake, fingerprint)
    _check_sizes(workspace, snapshot)
    return snapshot


def _closed(workspace: Workspace, first: str | None, last: str | None) -> dict[Partition, Manifest]:
    """Return the closed partitions of the range that have rows, with their manifests, oldest first.

    A partition for which the step has to look ahead on what has not come is still open, also if the step has made it
    before it looked ahead.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    dataset = pipeline.require_training().rows
    begin = partition_at(first, pipeline.calendar) if first else None
    end = last_partition_at(last, pipeline.calendar) if last else None
    found = lake.partitions(dataset)
    still_open = _still_open(workspace, found)
    wanted = (
        each
        for each in found
        if each not in still_open and (begin is None or each >= begin) and (end is None or each <= end)
    )
    return {
        manifest.time_partition(lake.calendar): manifest
        for manifest in Look(lake).manifests(dataset, wanted)
        if manifest.state == "closed" and manifest.rows_out
    }


def _still_open(workspace: Workspace, made: Sequence[Partition]) -> set[Partition]:
    """Return which of the partitions of the rows that train wait for a later one: some of the newest, if any."""
    pipeline = workspace.pipeline
    step = pipeline.step(pipeline.require_training().rows)
    newest = made[max(0, len(made) + reach(pipeline, step).start) :]
    waits = held_back(workspace, [step], newest)
    return {each for each, lacks in waits.items() if any(awaited > each for _, awaited in lacks)}


def _split(workspace: Workspace, partitions: Sequence[Partition]) -> dict[Channel, list[Partition]]:
    lake, training = workspace.lake, workspace.pipeline.require_training()
    parts = dict(zip(CHANNELS, training.split.parts(partitions), strict=True))
    empty = [channel for channel in CHANNELS if not parts[channel]]
    if empty:
        raise NotEnoughData(
            f"{lake.uri(lake.layout.dataset(training.rows))} has {len(partitions)} closed partitions with rows in the "
            f"range, which leave none for {' and '.join(empty)} by {training.split}; each needs at least one: run "
            f"{workspace.pipeline.name}_transform on more"
        )
    return parts


def _declared(training: Training) -> list[Any]:
    """Return what a snapshot's bytes depend on, beside the rows and the split, as JSON."""
    return [
        training.rows,
        training.label,
        repr(training.problem),
        [repr(each) for each in training.inputs],
        training.gate.slices,
    ]


def _write(
    workspace: Workspace, fingerprint: str, forms: Sequence[Form], channels: Mapping[Channel, Sequence[Manifest]]
) -> tuple[Encoding, dict[Channel, int]]:
    """Fit the encoding on the train rows, and write their profile and all channels.

    Returns:
        The encoding, and the number of rows of each channel.
    """
    lake = workspace.lake
    rows = RawRows(lake, workspace.pipeline.require_training())
    sample = Sample(rows, sum(manifest.rows_out for manifest in channels["train"]))
    fitting, labels = Fitting(rows), {channel: Labels(rows.training) for channel in CHANNELS}
    groups = Groups(rows.training)

    def labelled(channel: Channel) -> Iterator[pd.DataFrame]:
        """Yield the rows of each partition, once their labels and groups are checked."""
        for partition, frame in rows.read(channels[channel]):
            labels[channel].add(frame[rows.training.label].to_numpy(), partition)
            groups.add(channel, partition, frame)
            yield frame

    def check(channel: Channel) -> None:
        reason = labels[channel].lacks(channel) or groups.lacks(channel)
        if reason:
            raise _useless(workspace, channel, channels[channel], reason)

    for place, frame in enumerate(labelled("train")):
        fitting.add(frame, place % FOLDS)
        sample.add(frame)
    check("train")
    encoding, folded = fitting.encoding(), [fitting.encoding(without=fold) for fold in range(FOLDS)]
    lake.put(lake.layout.profile(fingerprint), sample.profile().model_dump_json().encode())
    train = ((frame, folded[place % FOLDS]) for place, (_, frame) in enumerate(rows.read(channels["train"])))
    write_channel(rows, fingerprint, "train", forms, train)
    for channel in CHANNELS[1:]:
        write_channel(rows, fingerprint, channel, forms, ((frame, encoding) for frame in labelled(channel)))
        check(channel)
    return encoding, {channel: labels[channel].rows for channel in CHANNELS}


def _useless(workspace: Workspace, channel: Channel, manifests: Sequence[Manifest], reason: str) -> NotEnoughData:
    lake, pipeline = workspace.lake, workspace.pipeline
    ranges = format_ranges(each.time_partition(lake.calendar) for each in manifests)
    return NotEnoughData(
        f"the {channel} rows {ranges} of {lake.uri(lake.layout.dataset(pipeline.require_training().rows))} "
        f"{reason}: run {pipeline.name}_transform on more, or correct the declaration"
    )


def _check_sizes(workspace: Workspace, snapshot: Snapshot) -> None:
    """Require as many rows as the candidates and the gate need."""
    training = workspace.pipeline.require_training()
    needs: list[tuple[Channel, int, str]] = [
        *(("train", each.fewest_rows, f"candidate {each.name} trains") for each in training.candidates),
        ("test", training.gate.rows, "the gate decides"),
    ]
    for channel, least, who in needs:
        found = snapshot.rows[channel]
        if found < least:
            raise NotEnoughData(
                f"the {channel} rows {snapshot.partitions[channel]} are {found:,}, but {who} on at least {least:,}: "
                f"run {workspace.pipeline.name}_transform on more, or correct the declaration"
            )


def channel_partitions(calendar: Calendar, snapshot: Snapshot, channel: Channel) -> list[Partition]:
    """Return the partitions of a channel, oldest first.

    Args:
        calendar: How the pipeline divides time.
        snapshot: The snapshot.
        channel: ``train``, ``validation`` or ``test``.
    """
    return parse_ranges(snapshot.partitions[channel], calendar)
