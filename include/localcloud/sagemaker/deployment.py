"""Puts the models of an endpoint configuration into service: download, unpack, load, switch.

Deployments run one after another, in a thread of their own. An endpoint that serves goes on serving its old
models until all the new ones are loaded; if one can't be, it rolls back and stays as it was.
"""

from __future__ import annotations

import logging
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localcloud.sagemaker import archives
from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.fleet import Fleet, Variant
from localcloud.sagemaker.s3 import Location, MissingObjectsError, Objects
from localcloud.sagemaker.store import Document, MissingResourceError, Store

KIND = "endpoint"

logger = logging.getLogger(__name__)


class _DeploymentError(Exception):
    """A variant can't be put into service; the message is the endpoint's FailureReason."""


class Deployer:
    """Brings endpoints to what their documents ask for.

    An endpoint's document holds, beside what Describe shows, ``Deployed`` (what serves) and ``Wanted`` (what
    is to serve): ``{"EndpointConfigName", "Revision", "Variants": [{"VariantName", "Weight", "Instances",
    "ModelName", "Image", "ModelDataUrl", "Environment"}]}``. It so stays independent of models and
    configurations that are deleted later.
    """

    def __init__(self, store: Store, objects: Objects, fleet: Fleet, folder: Path) -> None:
        self._store = store
        self._objects = objects
        self._fleet = fleet
        self._folder = folder
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="deployment")

    def deploy(self, name: str) -> None:
        """Queue the change to what the endpoint's document wants."""
        self._worker.submit(self._guarded, name)

    def remove(self, name: str) -> None:
        """Queue the end of an endpoint that is Deleting."""
        self._worker.submit(self._remove, name)

    def recover(self) -> None:
        """Serve what was in service when the stand-in was last ended, and go on with what was under way."""
        for endpoint in self._store.all(KIND):
            name = endpoint["EndpointName"]
            if endpoint["EndpointStatus"] == "Deleting":
                self.remove(name)
                continue
            if "Deployed" in endpoint:
                self._serve_again(name, endpoint["Deployed"])
            if "Wanted" in endpoint:
                self.deploy(name)

    def close(self) -> None:
        """Finish the deployment under way and start no other."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _serve_again(self, name: str, deployed: Document) -> None:
        try:
            self._fleet.switch(name, self._load(name, deployed))
        except _DeploymentError as error:
            logger.error("endpoint %s doesn't serve again: %s", name, error)
            reason = str(error)
            self._store.update(KIND, name, lambda endpoint: _fail(endpoint, reason))

    def _guarded(self, name: str) -> None:
        try:
            self._deploy(name)
        except MissingResourceError:
            logger.info("endpoint %s was deleted while it was deployed", name)
        except Exception:
            logger.exception("endpoint %s", name)
            self._store.update(
                KIND, name, lambda endpoint: _fail(endpoint, "InternalServerError: see the stand-in's log")
            )

    def _deploy(self, name: str) -> None:
        endpoint = self._store.get(KIND, name)
        if endpoint["EndpointStatus"] == "Deleting":
            return
        wanted = endpoint["Wanted"]
        try:
            variants = self._load(name, wanted)
        except _DeploymentError as error:
            reason = str(error)
            if "Deployed" in endpoint:
                self._store.update(KIND, name, lambda endpoint: _enter(endpoint, "RollingBack"))
            # Before the state is told: a later deployment of the same revision must not find these files.
            shutil.rmtree(self._home(name, wanted), ignore_errors=True)
            self._store.update(KIND, name, lambda endpoint: _fail(endpoint, reason))
            return
        # Before the state is told: whoever reads InService may ask at once.
        self._fleet.switch(name, variants)
        self._store.update(KIND, name, _put_in_service)
        if "Deployed" in endpoint:
            shutil.rmtree(self._home(name, endpoint["Deployed"]), ignore_errors=True)

    def _remove(self, name: str) -> None:
        self._fleet.drop(name)
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self._store.delete(KIND, name)

    def _home(self, name: str, deployment: Document) -> Path:
        return self._folder / name / str(deployment["Revision"])

    def _load(self, name: str, deployment: Document) -> tuple[Variant, ...]:
        return tuple(
            self._load_variant(variant, self._home(name, deployment) / variant["VariantName"])
            for variant in deployment["Variants"]
        )

    def _load_variant(self, variant: dict[str, Any], folder: Path) -> Variant:
        algorithm = catalog.by_image(variant["Image"])
        if algorithm is None:
            raise _DeploymentError(
                f"The image '{variant['Image']}' does not exist. "
                f"This stand-in knows the repositories {', '.join(catalog.repositories())}."
            )
        if not folder.exists():
            self._unpack(variant, folder)
        try:
            server = algorithm.load(folder, variant["Environment"])
        except ValueError as error:
            logger.error("variant %s: %s", variant["VariantName"], error)
            raise _DeploymentError(
                f"The primary container for production variant {variant['VariantName']} did not pass the ping health "
                f"check. Please check CloudWatch logs for this endpoint. ({error})"
            ) from error
        return Variant(variant["VariantName"], variant["Weight"], server)

    def _unpack(self, variant: dict[str, Any], folder: Path) -> None:
        """Leave the model's files in the folder, all of them or none."""
        url = variant["ModelDataUrl"]
        if not url:
            raise _DeploymentError(f"Model {variant['ModelName']} has no ModelDataUrl; this stand-in serves no other.")
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        archive = unfinished.with_name(f".{folder.name}.tar.gz")
        try:
            self._objects.download(Location.of(url), archive)
            archives.unpack(archive, unfinished)
        except MissingObjectsError as error:
            raise _DeploymentError(
                f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
                "there is an object located at the URL and that the role passed to CreateModel has permissions to "
                "download the object."
            ) from error
        except archives.UnsafeArchiveError as error:
            raise _DeploymentError(
                f'Failed to extract model data archive for container "container_1" from URL "{url}". Please ensure '
                f"that the object located at the URL is a valid tar.gz archive. ({error})"
            ) from error
        finally:
            archive.unlink(missing_ok=True)
        unfinished.rename(folder)


def _enter(endpoint: Document, status: str) -> None:
    """Move to a status; an endpoint that was deleted meanwhile stays Deleting until it is removed."""
    if endpoint["EndpointStatus"] != "Deleting":
        endpoint["EndpointStatus"] = status
    endpoint["LastModifiedTime"] = time.time()


def _fail(endpoint: Document, reason: str) -> None:
    """Back to what served before; Failed if nothing did."""
    endpoint.pop("Wanted", None)
    endpoint["FailureReason"] = reason
    _enter(endpoint, "InService" if "Deployed" in endpoint else "Failed")


def _put_in_service(endpoint: Document) -> None:
    deployed = endpoint.pop("Wanted")
    endpoint["Deployed"] = deployed
    endpoint["EndpointConfigName"] = deployed["EndpointConfigName"]
    endpoint["ProductionVariants"] = [_described(variant) for variant in deployed["Variants"]]
    endpoint.pop("FailureReason", None)
    _enter(endpoint, "InService")


def _described(variant: dict[str, Any]) -> dict[str, Any]:
    image = {"SpecifiedImage": variant["Image"], "ResolvedImage": variant["Image"], "ResolutionTime": time.time()}
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [image],
        "CurrentWeight": variant["Weight"],
        "DesiredWeight": variant["Weight"],
        "CurrentInstanceCount": variant["Instances"],
        "DesiredInstanceCount": variant["Instances"],
    }
