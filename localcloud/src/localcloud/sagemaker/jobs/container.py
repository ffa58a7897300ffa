"""The folders of a training container: ``/opt/ml``, here below the job's own folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

_HOST = "algo-1"


class ChannelConfiguration(TypedDict):
    """A channel in inputdataconfig.json."""

    TrainingInputMode: str
    S3DistributionType: str
    RecordWrapperType: str
    ContentType: NotRequired[str]


@dataclass(frozen=True)
class Configuration:
    """What a container finds out about its job; empty by default.

    Attributes:
        hyperparameters: As in the request, in its order.
        channels: The channels by name.
        instance_type: None if the job names none.
        has_checkpoints: Whether there is a folder for checkpoints.
    """

    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, ChannelConfiguration] = field(default_factory=dict)
    instance_type: str | None = None
    has_checkpoints: bool = False


@dataclass(frozen=True)
class Layout:
    """The folders below ``root``, which takes the place of the container's ``/``."""

    root: Path

    @property
    def opt_ml(self) -> Path:
        """``/opt/ml``."""
        return self.root / "opt/ml"

    @property
    def config(self) -> Path:
        """The configuration files."""
        return self.opt_ml / "input/config"

    @property
    def data(self) -> Path:
        """The channels, one folder each."""
        return self.opt_ml / "input/data"

    @property
    def model(self) -> Path:
        """What becomes the model's archive."""
        return self.opt_ml / "model"

    @property
    def output(self) -> Path:
        """The failure and the output data."""
        return self.opt_ml / "output"

    @property
    def output_data(self) -> Path:
        """What becomes ``output.tar.gz``."""
        return self.output / "data"

    @property
    def failure(self) -> Path:
        """The file with the reason of a failure."""
        return self.output / "failure"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints, if the job has any."""
        return self.opt_ml / "checkpoints"

    @property
    def temporary(self) -> Path:
        """``/tmp``."""
        return self.root / "tmp"

    def channel(self, name: str) -> Path:
        """Return the folder of a channel's data."""
        return self.data / name

    def hyperparameters(self) -> dict[str, str]:
        """Return the hyperparameters of the request, in its order."""
        return dict(self._read("hyperparameters.json"))

    def channels(self) -> dict[str, ChannelConfiguration]:
        """Return the channels of inputdataconfig.json, by name."""
        return dict(self._read("inputdataconfig.json"))

    def container_path(self, path: Path) -> str:
        """Return the path within the container of a path below ``root``."""
        return "/" + str(path.relative_to(self.root))

    def prepare(self, configuration: Configuration) -> None:
        """Make the folders and write the configuration into its files."""
        for folder in (self.config, self.data, self.model, self.output_data, self.temporary):
            folder.mkdir(parents=True)
        if configuration.has_checkpoints:
            self.checkpoints.mkdir()
        self._write("hyperparameters.json", configuration.hyperparameters)
        self._write("inputdataconfig.json", configuration.channels)
        self._write(
            "resourceconfig.json",
            {
                "current_host": _HOST,
                "hosts": [_HOST],
                "current_instance_type": configuration.instance_type,
                "network_interface_name": "lo",
            },
        )

    def clear(self) -> None:
        """Remove everything but the log."""
        shutil.rmtree(self.root / "opt", ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _write(self, name: str, content: Any) -> None:
        (self.config / name).write_text(json.dumps(content))

    def _read(self, name: str) -> Any:
        return json.loads((self.config / name).read_text())
