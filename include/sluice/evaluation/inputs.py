"""The rows that a model scores: those of a snapshot's channels without the label, in the form that the model takes."""

from __future__ import annotations

from sluice.dataset.snapshot import Channel, channel_key
from sluice.training.models import Model
from sluice.workspace import Workspace

SCORED: tuple[Channel, ...] = ("validation", "test")


def inputs_folder(workspace: Workspace, model: Model, fingerprint: str) -> str:
    """Return the folder of the rows that a model scores, ``<channel>.csv`` each. Its name stands for their content.

    Args:
        workspace: The workspace of the pipeline that trains.
        model: The model that will score them.
        fingerprint: The fingerprint of the snapshot.
    """
    return workspace.lake.layout.inputs(fingerprint, "all")


def write_inputs(workspace: Workspace, model: Model, fingerprint: str) -> None:
    """Write the rows that a model scores, unless they are written already.

    Args:
        workspace: The workspace of the pipeline that trains.
        model: The model that will score them.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: there is no such snapshot.
    """
    lake, folder = workspace.lake, inputs_folder(workspace, model, fingerprint)
    for channel in SCORED:
        lines = lake.get(channel_key(lake, fingerprint, channel)).decode().splitlines()
        body = "".join(line.partition(",")[2] + "\n" for line in lines)
        lake.create(f"{folder}{channel}.csv", body.encode())
