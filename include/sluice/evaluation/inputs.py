"""The rows that a model scores: raw rows of a snapshot, in the encoding that the model was trained with."""

from __future__ import annotations

from sluice.dataset.channels import Channel
from sluice.dataset.encodings import Encoding
from sluice.dataset.formats.csv import csv_rows
from sluice.dataset.snapshot import read_snapshot, snapshot_rows
from sluice.lake.manifests import digest_of
from sluice.training.models import Model
from sluice.workspace import Workspace

SCORED: tuple[Channel, ...] = ("validation", "test")


def inputs_folder(workspace: Workspace, model: Model, fingerprint: str) -> str:
    """Return the folder of the rows that a model scores, ``<channel>.csv`` each. Its name stands for their content.

    Args:
        workspace: The workspace of the pipeline that trains.
        model: The model that will score them.
        fingerprint: The fingerprint of the snapshot of the rows.

    Raises:
        MissingResource: the snapshot that the model was trained on does not exist.
    """
    digest = digest_of([_encoding(workspace, model).model_dump(mode="json"), model.takes_missing])[:16]
    return workspace.lake.layout.inputs(fingerprint, digest)


def write_inputs(workspace: Workspace, model: Model, fingerprint: str) -> None:
    """Write the rows that a model scores, unless they are written already.

    Args:
        workspace: The workspace of the pipeline that trains.
        model: The model that will score them.
        fingerprint: The fingerprint of the snapshot of the rows.

    Raises:
        MissingResource: one of the two snapshots does not exist.
        DeclarationError: the rows lack a feature of the model.
    """
    lake, folder = workspace.lake, inputs_folder(workspace, model, fingerprint)
    encoding = _encoding(workspace, model)
    for channel in SCORED:
        rows = encoding.encode(snapshot_rows(lake, fingerprint, channel), filled=not model.takes_missing)
        lake.create(f"{folder}{channel}.csv", "".join(f"{row}\n" for row in csv_rows(rows)).encode())


def _encoding(workspace: Workspace, model: Model) -> Encoding:
    return read_snapshot(workspace.lake, model.snapshot).encoding
