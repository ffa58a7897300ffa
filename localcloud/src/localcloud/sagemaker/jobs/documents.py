"""The jobs of a kind in the store, and what operations on training and on transform jobs have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.sagemaker.api.arns import arn
from localcloud.sagemaker.api.errors import resource_in_use, validation_error
from localcloud.sagemaker.api.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.jobs.runner import JobRunner

_OVER = ("Completed", "Failed", "Stopped")


class JobDocuments:
    """Jobs from their creation to their end.

    Args:
        kind: as an ARN spells it, such as ``training-job``.
        prefix: of the members that name a job, its ARN and its status, such as ``TrainingJob``.
    """

    def __init__(self, store: Store, tags: Tags, runner: JobRunner, kind: str, prefix: str) -> None:
        self._store = store
        self._tags = tags
        self._runner = runner
        self._kind = kind
        self._prefix = prefix

    def create(self, name: str, document: Document, tags: list[dict[str, str]]) -> dict[str, Any]:
        """Add a job and queue it; the answer of its Create operation.

        Raises:
            ServiceError: the name is taken.
        """
        job_arn = arn(self._kind, name)
        document[f"{self._prefix}Arn"] = job_arn
        try:
            self._store.insert(self._kind, name, document)
        except NameTakenError as error:
            raise resource_in_use(
                "Job name must be unique within an AWS account and region, "
                f"and a job with this name already exists ({job_arn})"
            ) from error
        self._tags.put(job_arn, tags)
        self._runner.submit(name)
        return {f"{self._prefix}Arn": job_arn}

    def describe(self, request: dict[str, Any]) -> Document:
        """The Describe operation. Raises ServiceError where there is no such job."""
        try:
            return self._store.get(self._kind, request[f"{self._prefix}Name"])
        except MissingResourceError as error:
            raise validation_error("Requested resource not found.") from error

    def all(self) -> list[Document]:
        """Every job, by name."""
        return self._store.all(self._kind)

    def stop(self, name: str, stopping: Callable[[Document], None]) -> None:
        """Let ``stopping`` tell the document of a job that runs, and the job itself, that it is to stop.

        Raises:
            ServiceError: there is no such job, or it is over.
        """

        def change(job: Document) -> None:
            status = job[f"{self._prefix}Status"]
            if status in _OVER:
                word = self._kind.replace("-", " ")
                raise validation_error(f"The request was rejected because the {word} is in status {status}.")
            if status != "Stopping":
                stopping(job)

        try:
            job = self._store.update(self._kind, name, change)
        except MissingResourceError as error:
            raise validation_error("Requested resource not found.") from error
        self._runner.stop(job[f"{self._prefix}Name"])

    def delete(self, name: str) -> None:
        """Forget a job that is over, with its tags and its log; the name is free again.

        Raises:
            ServiceError: there is no such job, or it isn't over.
        """
        job = self.describe({f"{self._prefix}Name": name})
        status = job[f"{self._prefix}Status"]
        if status not in _OVER:
            word = self._kind.replace("-", " ")
            raise resource_in_use(f"The request was rejected because the {word} is in status {status}.")
        self._store.delete(self._kind, name)
        self._tags.drop(job[f"{self._prefix}Arn"])
        self._runner.forget(job[f"{self._prefix}Name"])

    def recover(self, interrupt: Callable[[Document], None]) -> None:
        """Let ``interrupt`` end the jobs that ran when the stand-in was last ended: their processes are gone."""
        for job in self.all():
            if job[f"{self._prefix}Status"] not in _OVER:
                name = job[f"{self._prefix}Name"]
                self._runner.discard(name)
                self._store.update(self._kind, name, interrupt)
