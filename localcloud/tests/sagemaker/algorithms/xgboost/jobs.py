"""Training jobs in a folder, without the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from localcloud.sagemaker.algorithms.xgboost import training
from localcloud.sagemaker.jobs.container import ChannelConfiguration, Configuration, Layout

Files = Mapping[str, Mapping[str, str | bytes]]  # by channel and path

RANDOM = np.random.default_rng(5)
FEATURES = RANDOM.uniform(-1, 1, (60, 3)).round(3)
LABELS = (FEATURES[:, 0] > FEATURES[:, 1]).astype(float)


def csv(labels: Any = LABELS, features: Any = FEATURES) -> str:
    return "".join(",".join(f"{each:g}" for each in row) + "\n" for row in np.column_stack([labels, features]))


@dataclass(frozen=True)
class Job:
    """A prepared job; `run` it once."""

    layout: Layout

    def run(self) -> Job:
        training.train(self.layout)
        return self

    def model(self, name: str = "xgboost-model") -> xgboost.Booster:
        booster = xgboost.Booster()
        booster.load_model(bytearray((self.layout.model / name).read_bytes()))
        return booster


def prepared(
    root: Path,
    hyperparameters: Mapping[str, str],
    files: Files,
    content_type: str = "text/csv",
    *,
    has_checkpoints: bool = False,
) -> Job:
    """Return a job whose channels hold these files, ready to run."""
    layout = Layout(root)
    channel: ChannelConfiguration = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
        "ContentType": content_type,
    }
    layout.prepare(
        Configuration(
            hyperparameters={"num_round": "3", "nthread": "1", **hyperparameters},
            channels=dict.fromkeys(files, channel),
            has_checkpoints=has_checkpoints,
        )
    )
    for name, contents in files.items():
        layout.channel(name).mkdir()
        for path, content in contents.items():
            put(layout.channel(name) / path, content)
    return Job(layout)


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
