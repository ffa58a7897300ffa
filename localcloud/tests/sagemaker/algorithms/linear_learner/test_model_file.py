"""The model's file: a written model is read, and anything else is refused."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sagemaker.algorithms.linear_learner.learning import DATA, KINDS, trained

from localcloud.sagemaker.algorithms.linear_learner.model import NAME, InvalidModelError, LinearModel
from localcloud.sagemaker.algorithms.linear_learner.serving import load

MODEL = LinearModel("binary_classifier", "logistic", np.ones((3, 1), np.float32), np.zeros(1, np.float32), 0.25)


def npy(array: Any) -> bytes:
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def parts(**changes: Any) -> dict[str, bytes]:
    described = {"format": 1, "predictor_type": "binary_classifier", "loss": "logistic", "threshold": 0.25}
    described |= changes
    return {
        "model.json": json.dumps(described).encode(),
        "weights.npy": npy(np.ones((3, 1), np.float32)),
        "bias.npy": npy(np.zeros(1, np.float32)),
    }


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    model = trained(DATA[kind](), kind, epochs=1).model
    model.save(tmp_path / NAME)
    found = LinearModel.load(tmp_path / NAME)
    assert (found.predictor_type, found.loss, found.threshold) == (kind, model.loss, model.threshold)
    assert found.weights.tolist() == model.weights.tolist()
    assert found.bias.tolist() == model.bias.tolist()


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        MODEL.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_parts_of_these_tests_are_a_model(tmp_path: Path) -> None:
    assert LinearModel.load(archive(tmp_path / "m", parts())).feature_dim == 3


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="nothing"),
        pytest.param(parts(format=2), id="format"),
        pytest.param(parts(predictor_type="clusterer"), id="kind"),
        pytest.param(parts(predictor_type="multiclass_classifier"), id="classes"),
        pytest.param(parts(threshold="high"), id="threshold"),
        pytest.param(parts(threshold=None), id="no threshold"),
        pytest.param(parts() | {"model.json": b"[]"}, id="description"),
        pytest.param(parts() | {"bias.npy": npy(np.zeros(2, np.float32))}, id="shapes"),
        pytest.param(parts() | {"weights.npy": npy(np.full((3, 1), np.nan, np.float32))}, id="not finite"),
        pytest.param(parts() | {"weights.npy": npy(np.ones((3, 1)))}, id="another type"),
        pytest.param(parts() | {"weights.npy": npy(np.ones((3, 1), np.float32))[:-1]}, id="truncated"),
        pytest.param(parts() | {"weights.npy": npy(np.ones(3, np.float32))}, id="one dimension"),
        pytest.param({name: content for name, content in parts().items() if name != "bias.npy"}, id="missing"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(InvalidModelError, match="is no model of Linear Learner"):
        LinearModel.load(archive(tmp_path / NAME, members))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_nothing_is_decompressed(tmp_path: Path, compression: int) -> None:
    with pytest.raises(InvalidModelError, match="is compressed or encrypted"):
        LinearModel.load(archive(tmp_path / NAME, parts(), compression))


@settings(max_examples=200)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_file_with_a_changed_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / NAME
    MODEL.save(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    try:
        LinearModel.load(path)
    except InvalidModelError:
        return


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    objects = np.empty(1, object)
    objects[0] = Payload()
    hidden = io.BytesIO()
    np.save(hidden, objects, allow_pickle=True)
    for content in (
        pickle.dumps(Payload()),
        archive(tmp_path / "m", parts() | {"weights.npy": hidden.getvalue()}).read_bytes(),
    ):
        (tmp_path / NAME).write_bytes(content)
        with pytest.raises(InvalidModelError):
            LinearModel.load(tmp_path / NAME)
    assert not canary.exists()


def test_an_archive_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the archive holds no model_algo-1"):
        load(tmp_path, {})
