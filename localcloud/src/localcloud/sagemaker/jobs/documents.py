"""Jobs from their creation to their end: what operations on training and on transform jobs have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from localcloud.sagemaker.api.collection import Collection, Kind
from localcloud.sagemaker.api.errors import ServiceError, resource_in_use, validation_error
from localcloud.sagemaker.api.store import Document, Store
from localcloud.sagemaker.api.tags import Tag, Tags
from localcloud.sagemaker.jobs.runner import JobRunner

_OVER = ("Completed", "Failed", "Stopped")


def kind_of_jobs(name: str, prefix: str, *members: str) -> Kind:
    """A kind of job.

    Args:
        name: as an ARN spells it, such as ``training-job``.
        prefix: of the members that name a job, its ARN and its status, such as ``TrainingJob``.
        members: what a summary shows beside those that all jobs have.
    """
    return Kind(
        name=name,
        prefix=prefix,
        missing=lambda _: validation_error("Requested resource not found."),
        taken=_taken,
        summaries=f"{prefix}Summaries",
        summary=(
            *(f"{prefix}Name", f"{prefix}Arn", f"{prefix}Status", "CreationTime", "LastModifiedTime"),
            *members,
        ),
    )


class JobDocuments(Collection[Document]):
    """The jobs of a kind in the store, and the runner that has those which aren't over."""

    def __init__(self, store: Store, tags: Tags, kind: Kind, runner: JobRunner) -> None:
        super().__init__(store, tags, kind)
        self._runner = runner

    def create(self, name: str, document: Document, tags: Iterable[Tag]) -> dict[str, Any]:
        """Add a job and queue it; the answer of its Create operation.

        Raises:
            ServiceError: the name is taken.
        """
        job_arn = self.insert(name, document, tags)
        self._runner.submit(name)
        return {f"{self.kind.prefix}Arn": job_arn}

    def stop(self, name: str, stopping: Callable[[Document], None]) -> None:
        """Let ``stopping`` tell the document of a job that runs, and the job itself, that it is to stop.

        Raises:
            ServiceError: there is no such job, or it is over.
        """

        def change(job: Document) -> None:
            status = self._status(job)
            if status in _OVER:
                raise validation_error(self._rejected(status))
            if status != "Stopping":
                stopping(job)

        self._runner.stop(self._name(self.update(name, change)))

    def delete(self, request: dict[str, Any]) -> None:
        """Forget a job that is over, with its tags and its log; the name is free again.

        Raises:
            ServiceError: there is no such job, or it isn't over.
        """
        job = self.describe(request)
        if self._status(job) not in _OVER:
            raise resource_in_use(self._rejected(self._status(job)))
        self._runner.forget(self._name(self.remove(self._name(job))))

    def recover(self, interrupt: Callable[[Document], None]) -> None:
        """Let ``interrupt`` end the jobs that ran when the stand-in was last ended: their processes are gone."""
        for job in self.all():
            if self._status(job) not in _OVER:
                self._runner.discard(self._name(job))
                self.update(self._name(job), interrupt)

    def _name(self, job: Document) -> str:
        name: str = job[f"{self.kind.prefix}Name"]
        return name

    def _status(self, job: Document) -> str:
        status: str = job[f"{self.kind.prefix}Status"]
        return status

    def _rejected(self, status: str) -> str:
        return f"The request was rejected because the {self.kind.name.replace('-', ' ')} is in status {status}."


def _taken(job_arn: str) -> ServiceError:
    return resource_in_use(
        f"Job name must be unique within an AWS account and region, and a job with this name already exists ({job_arn})"
    )
