"""What steps outside of the workers are made of, where AWS finds it."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError


@dataclass(frozen=True)
class StoredArchive:
    """A zip archive in S3.

    Attributes:
        bucket: The bucket.
        key: The key, which has a digest of the archive.
    """

    bucket: str
    key: str


@dataclass(frozen=True)
class Artefacts:
    """The image of steps, and the archives of functions that are no images. What nobody declared is None.

    Attributes:
        image: The URI of the image.
        code: The library and the pipeline.
        layer: The libraries that they import.
    """

    image: str | None = None
    code: StoredArchive | None = None
    layer: StoredArchive | None = None

    def require_image(self, pipeline: Pipeline) -> str:
        """Return the URI of the image.

        Args:
            pipeline: The pipeline that needs it, for the message.

        Raises:
            DeclarationError: it is not known.
        """
        if not self.image:
            raise DeclarationError(
                f"pipeline {pipeline.name} runs steps in the image of steps, which is not known; say "
                f"`sluice provision {pipeline.name} --image URI`, or set SLUICE_STEP_IMAGE"
            )
        return self.image

    def require_archives(self, pipeline: Pipeline) -> tuple[StoredArchive, StoredArchive]:
        """Return the archives of the code and of the libraries.

        Args:
            pipeline: The pipeline that needs them, for the message.

        Raises:
            DeclarationError: they are not known.
        """
        if self.code is None or self.layer is None:
            raise DeclarationError(
                f"pipeline {pipeline.name} runs steps on Lambda from zip archives, and no place is named for them; "
                f"say `sluice provision {pipeline.name} --archives s3://BUCKET/PREFIX/`"
            )
        return self.code, self.layer


NONE = Artefacts()
