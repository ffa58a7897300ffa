"""Loads the models of an endpoint's variants: download, unpack, check, load."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.algorithms.catalog import Algorithm
from localcloud.sagemaker.algorithms.serving import ModelServer
from localcloud.sagemaker.data import archives
from localcloud.sagemaker.data.s3 import Location, MissingObjectsError, Objects
from localcloud.sagemaker.hosting import model_check
from localcloud.sagemaker.hosting.documents import DeployedVariant, Deployment
from localcloud.sagemaker.hosting.fleet import Variant
from localcloud.sagemaker.hosting.model_check import ModelCheckError

ModelCheck = Callable[[str, Path, Mapping[str, str]], None]
"""Takes an image, the folder of an unpacked model and its environment; see `model_check.check`."""

logger = logging.getLogger(__name__)


class LoadingError(Exception):
    """A variant can't serve; the message is the endpoint's FailureReason."""


class Loader:
    """Loads the variants of a deployment.

    Args:
        objects: Where the archives are.
        folder: Has the unpacked models, by endpoint, revision and variant.
        check: Raises ModelCheckError if a model can't be loaded.
    """

    def __init__(self, objects: Objects, folder: Path, check: ModelCheck = model_check.check) -> None:
        self._objects = objects
        self._folder = folder
        self._check = check

    def load(self, endpoint: str, deployment: Deployment) -> tuple[Variant, ...]:
        """Return the deployment's variants, loaded. Files that are already there are not downloaded again.

        Args:
            endpoint: The endpoint's name.
            deployment: What to load.

        Raises:
            LoadingError: A variant can't be loaded.
        """
        home = self._home(endpoint, deployment)

        def load(variant: DeployedVariant) -> Variant:
            return self._variant(variant, home / variant["VariantName"], deployment)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return tuple(pool.map(load, deployment["Variants"]))

    def discard(self, endpoint: str, deployment: Deployment) -> None:
        """Remove the files of an endpoint's deployment; loaded variants keep serving."""
        shutil.rmtree(self._home(endpoint, deployment), ignore_errors=True)

    def discard_all(self, endpoint: str) -> None:
        """Remove all files of the endpoint."""
        shutil.rmtree(self._folder / endpoint, ignore_errors=True)

    def _home(self, endpoint: str, deployment: Deployment) -> Path:
        return self._folder / endpoint / str(deployment["Revision"])

    def _variant(self, variant: DeployedVariant, folder: Path, deployment: Deployment) -> Variant:
        algorithm = catalog.by_image(variant["Image"])
        if algorithm is None:
            raise LoadingError(
                f"The image '{variant['Image']}' does not exist. "
                f"This stand-in knows the repositories {', '.join(catalog.repositories())}."
            )
        if not folder.exists():
            self._unpack(variant, folder)
        try:
            server = self._checked(algorithm, variant, folder)
        except (ModelCheckError, ValueError) as error:
            logger.error("variant %s: %s", variant["VariantName"], error)
            raise LoadingError(
                f"The primary container for production variant {variant['VariantName']} did not pass the ping health "
                f"check. Please check CloudWatch logs for this endpoint. ({error})"
            ) from error
        return Variant(
            name=variant["VariantName"],
            weight=variant["Weight"],
            server=server,
            instances=variant["DesiredInstances"],
            config=deployment["EndpointConfigName"],
        )

    def _checked(self, algorithm: Algorithm, variant: DeployedVariant, folder: Path) -> ModelServer:
        """Load the model, after another process has shown that it can be loaded.

        A model that was loaded once isn't checked again: a marker beside its folder holds the digest of its files.
        """
        marker = folder.with_name(f".{folder.name}.checked")
        known = marker.exists() and marker.read_text() == _digest(folder)
        if not known:
            self._check(variant["Image"], folder, variant["Environment"])
        server = algorithm.load(folder, variant["Environment"])
        if not known:
            marker.write_text(_digest(folder))
        return server

    def _unpack(self, variant: DeployedVariant, folder: Path) -> None:
        """Put the model's files into the folder, all of them or none."""
        url = variant["ModelDataUrl"]
        if not url:
            raise LoadingError(f"Model {variant['ModelName']} has no ModelDataUrl; this stand-in serves no other.")
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        archive = unfinished.with_name(f".{folder.name}.tar.gz")
        try:
            self._objects.download(Location.of(url), archive)
            archives.unpack(archive, unfinished)
        except MissingObjectsError as error:
            raise LoadingError(
                f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
                "there is an object located at the URL and that the role passed to CreateModel has permissions to "
                "download the object."
            ) from error
        except archives.UnsafeArchiveError as error:
            raise LoadingError(
                f'Failed to extract model data archive for container "container_1" from URL "{url}". Please ensure '
                f"that the object located at the URL is a valid tar.gz archive. ({error})"
            ) from error
        finally:
            archive.unlink(missing_ok=True)
        unfinished.rename(folder)


def _digest(folder: Path) -> str:
    """Return the digest of the names and contents of the folder's files."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{own} {path.relative_to(folder)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()
