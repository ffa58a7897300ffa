"""Where AWS keeps the images of its built-in algorithms, as the SageMaker SDK's core knows it.

The SDK takes seconds to import. So it is imported where a request or a configuration is made, and nowhere else: neither
when a DAG file is parsed nor in a trigger.
"""

from __future__ import annotations

from sluice.errors import MissingResource


def builtin_image(name: str, version: str, region: str) -> str:
    """The URI of a built-in algorithm's image in a region.

    Args:
        name: as the SDK calls the algorithm, such as ``xgboost``.

    Raises:
        MissingResource: AWS does not keep the image in that region.
    """
    from sagemaker.core import image_uris

    try:
        uri: str = image_uris.retrieve(name, region, version=version)
    except ValueError as error:
        raise MissingResource(
            f"SageMaker's {name} {version} is not kept in region {region!r}; set AWS_DEFAULT_REGION to one of those "
            f"that have it ({error})"
        ) from error
    return uri
