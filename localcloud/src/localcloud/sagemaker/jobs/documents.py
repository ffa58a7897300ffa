"""Jobs from their creation to their end: what the operations on training and on transform jobs have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from localcloud.sagemaker.api.collection import Collection, Kind
from localcloud.sagemaker.api.errors import resource_in_use
from localcloud.sagemaker.api.protocol import OpaqueAnswer
from localcloud.sagemaker.api.store import D, DocumentKind, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.jobs.runner import JobRunner
from localcloud.service_model.errors import ServiceError, validation_error

_OVER = ("Completed", "Failed", "Stopped")


def kind_of_jobs(name: DocumentKind[D], prefix: str, *members: str) -> Kind[D]:
    """Return a kind of job.

    Args:
        name: The kind in the store and in ARNs, such as ``training-job``.
        prefix: The prefix of the members that hold a job's name, ARN and status, such as ``TrainingJob``.
        members: The members of a summary beside those that all jobs have.
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


class JobDocuments(Collection[D]):
    """The jobs of a kind in the store, and the runner of those that aren't over."""

    def __init__(self, store: Store, tags: Tags, kind: Kind[D], runner: JobRunner[D]) -> None:
        super().__init__(store, tags, kind)
        self._runner = runner

    def create(self, name: str, job: D) -> OpaqueAnswer:
        """Add a job and queue it; return the answer of its Create operation.

        Args:
            name: The job's name.
            job: The request with what the service adds, its ARN too.

        Raises:
            ServiceError: The name is taken.
        """
        job_arn = self.insert(name, job)
        self._runner.submit(name)
        return {f"{self.kind.prefix}Arn": job_arn}

    def stop(self, name: str, stopping: Callable[[D], None]) -> None:
        """Stop a job that is queued or runs.

        Args:
            name: The job's name or ARN.
            stopping: Changes the document's status to Stopping.

        Raises:
            ServiceError: There is no such job, or it is over.
        """

        def change(job: D) -> None:
            status = self._status(job)
            if status in _OVER:
                raise validation_error(self._rejected(status))
            if status != "Stopping":
                stopping(job)

        self._runner.stop(self._name(self.update(name, change)))

    def delete(self, request: Mapping[str, str]) -> None:
        """Remove a job that is over, with its tags and its log; its name is free again.

        Raises:
            ServiceError: There is no such job, or it isn't over.
        """
        job = self.describe(request)
        if self._status(job) not in _OVER:
            raise resource_in_use(self._rejected(self._status(job)))
        self._runner.forget(self._name(self.remove(self._name(job))))

    def recover(self, interrupt: Callable[[D], None]) -> None:
        """End the jobs that ran when the stand-in last ended, as their processes are gone.

        Args:
            interrupt: Changes the document of such a job to that of one that has ended.
        """
        for job in self.all():
            if self._status(job) not in _OVER:
                self._runner.discard(self._name(job))
                self.update(self._name(job), interrupt)

    def _name(self, job: D) -> str:
        name: str = job[f"{self.kind.prefix}Name"]
        return name

    def _status(self, job: D) -> str:
        status: str = job[f"{self.kind.prefix}Status"]
        return status

    def _rejected(self, status: str) -> str:
        return f"The request was rejected because the {self.kind.name.replace('-', ' ')} is in status {status}."


def _taken(job_arn: str) -> ServiceError:
    return resource_in_use(
        f"Job name must be unique within an AWS account and region, and a job with this name already exists ({job_arn})"
    )
