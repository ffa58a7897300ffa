"""The folders that a training container sees: ``/opt/ml``, here below the job's own folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

_HOST = "algo-1"


class ChannelConfiguration(TypedDict):
    """What inputdataconfig.json says of a channel."""

    TrainingInputMode: str
    S3DistributionType: str
    RecordWrapperType: str
    ContentType: NotRequired[str]


@dataclass(frozen=True)
class Layout:
    """The layout below ``root``, which stands for the container's ``/``."""

    root: Path

    @property
    def opt_ml(self) -> Path:
        return self.root / "opt/ml"

    @property
    def config(self) -> Path:
        return self.opt_ml / "input/config"

    @property
    def data(self) -> Path:
        return self.opt_ml / "input/data"

    @property
    def model(self) -> Path:
        return self.opt_ml / "model"

    @property
    def output(self) -> Path:
        return self.opt_ml / "output"

    @property
    def output_data(self) -> Path:
        return self.output / "data"

    @property
    def failure(self) -> Path:
        return self.output / "failure"

    @property
    def checkpoints(self) -> Path:
        return self.opt_ml / "checkpoints"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    def channel(self, name: str) -> Path:
        """The folder of a channel's data."""
        return self.data / name

    def hyperparameters(self) -> dict[str, str]:
        """As the request gave them, in its order."""
        return dict(self._read("hyperparameters.json"))

    def channels(self) -> dict[str, ChannelConfiguration]:
        """What inputdataconfig.json says about each channel."""
        return dict(self._read("inputdataconfig.json"))

    def container_path(self, path: Path) -> str:
        """A path as the container would name it."""
        return "/" + str(path.relative_to(self.root))

    def prepare(self, request: dict[str, Any]) -> None:
        """Make the folders and write the configuration of a CreateTrainingJob request; an empty one for other jobs."""
        for folder in (self.config, self.data, self.model, self.output_data, self.temporary):
            folder.mkdir(parents=True)
        if "CheckpointConfig" in request:
            self.checkpoints.mkdir()
        self._write("hyperparameters.json", request.get("HyperParameters", {}))
        self._write(
            "inputdataconfig.json",
            {channel["ChannelName"]: _channel(channel, request) for channel in request.get("InputDataConfig", [])},
        )
        self._write(
            "resourceconfig.json",
            {
                "current_host": _HOST,
                "hosts": [_HOST],
                "current_instance_type": request.get("ResourceConfig", {}).get("InstanceType"),
                "network_interface_name": "lo",
            },
        )

    def clear(self) -> None:
        """Remove all but what lies beside ``/opt/ml`` and the temporary files: the log."""
        shutil.rmtree(self.root / "opt", ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _write(self, name: str, content: Any) -> None:
        (self.config / name).write_text(json.dumps(content))

    def _read(self, name: str) -> Any:
        return json.loads((self.config / name).read_text())


def _channel(channel: dict[str, Any], request: dict[str, Any]) -> ChannelConfiguration:
    mode = channel.get("InputMode", request["AlgorithmSpecification"]["TrainingInputMode"])
    source = channel["DataSource"]["S3DataSource"]
    described: ChannelConfiguration = {
        # The platform mounts fast files as plain files; the container can't tell them apart.
        "TrainingInputMode": "File" if mode == "FastFile" else mode,
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        described["ContentType"] = channel["ContentType"]
    return described
