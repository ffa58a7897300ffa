"""Where AWS keeps the images of its built-in algorithms, as the SageMaker SDK's core knows it.

The SDK takes seconds to import. So it is imported where a request or a configuration is made, and nowhere else: neither
when a DAG file is parsed nor in a trigger.
"""

from __future__ import annotations

from sluice.errors import MissingResource

XGBOOST_REPOSITORY = "sagemaker-xgboost"
_XGBOOST_VERSION = "3.2-0"


def xgboost_image(region: str) -> str:
    """The URI of the XGBoost 3.2-0 image in a region.

    Raises:
        MissingResource: AWS does not keep the image in that region.
    """
    from sagemaker.core import image_uris

    try:
        uri: str = image_uris.retrieve("xgboost", region, version=_XGBOOST_VERSION)
    except ValueError as error:
        raise MissingResource(
            f"SageMaker's XGBoost {_XGBOOST_VERSION} is not kept in region {region!r}; set AWS_DEFAULT_REGION to one "
            f"of those that have it ({error})"
        ) from error
    return uri
