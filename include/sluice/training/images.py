"""Where AWS keeps the images of its built-in algorithms, as the SageMaker SDK's core knows it.

The SDK takes seconds to import. So it is imported only when a request or a configuration is made: neither when a DAG
file is parsed nor in a trigger.
"""

from __future__ import annotations

from sluice.errors import MissingResource


def builtin_image(name: str, version: str, region: str) -> str:
    """Return the URI of a built-in algorithm's image.

    Args:
        name: What the SDK calls the algorithm, such as ``xgboost``.
        version: The version of the image, such as ``3.2-0``.
        region: The AWS region; each has an image of its own.

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
