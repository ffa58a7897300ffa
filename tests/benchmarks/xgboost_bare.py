"""The yardstick of a training job: a script that reads CSV by the fastest public reader and trains.

``python -m tests.benchmarks.xgboost_bare CSV PARAMETERS ROUNDS``, in the embedded cloud's environment; it takes as
many threads as a job does.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pyarrow.csv
import xgboost


def main(path: str, parameters: str, rounds: str) -> None:
    table = pyarrow.csv.read_csv(path, pyarrow.csv.ReadOptions(autogenerate_column_names=True))
    rows = np.column_stack([column.to_numpy() for column in table.columns])
    matrix = xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])
    booster = xgboost.train(json.loads(parameters), matrix, int(rounds), evals=[(matrix, "train")], verbose_eval=True)
    booster.save_raw("ubj")


if __name__ == "__main__":
    main(*sys.argv[1:])
