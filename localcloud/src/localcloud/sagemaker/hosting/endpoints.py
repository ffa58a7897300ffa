"""Create-, Update-, Describe-, Delete- and ListEndpoint(s), and UpdateEndpointWeightsAndCapacities."""

from __future__ import annotations

from collections.abc import Iterable

from localcloud.sagemaker.api.collection import Collection, Kind, already_existing, could_not_find
from localcloud.sagemaker.api.limits import require_quota
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.hosting import endpoint_status, rollout
from localcloud.sagemaker.hosting.deployment import Deployer
from localcloud.sagemaker.hosting.documents import (
    ENDPOINT,
    CreateEndpoint,
    DeployedVariant,
    Deployment,
    DeploymentConfig,
    DescribedEndpoint,
    DesiredWeightAndCapacity,
    Endpoint,
    NamedEndpoint,
    ProductionVariant,
    UpdateEndpoint,
    UpdateEndpointWeightsAndCapacities,
    VariantProperty,
)
from localcloud.sagemaker.hosting.endpoint_configs import EndpointConfigs, check_weight
from localcloud.sagemaker.hosting.scalable_targets import ScalableTargets
from localcloud.sagemaker.hosting.shifting import Alarms, AlarmsUnknownError, Clock
from localcloud.sagemaker.registry.models import Models
from localcloud.service_model.errors import ServiceError, validation_error

_KIND = Kind(
    name=ENDPOINT,
    prefix="Endpoint",
    missing=could_not_find("endpoint"),
    taken=already_existing("endpoint"),
    summaries="Endpoints",
    summary=("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus"),
)
_IN_PROGRESS = ("Creating", "Updating", "RollingBack", "Deleting", "SystemUpdating")


class Endpoints:
    """Endpoints, as the control plane shows them."""

    def __init__(
        self,
        store: Store,
        tags: Tags,
        configs: EndpointConfigs,
        models: Models,
        deployer: Deployer,
        alarms: Alarms,
        clock: Clock,
        scaling: ScalableTargets,
    ) -> None:
        self._endpoints = Collection(store, tags, _KIND)
        self._tags = tags
        self._configs = configs
        self._models = models
        self._deployer = deployer
        self._alarms = alarms
        self._clock = clock
        self._scaling = scaling

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self.adjust,
            "DescribeEndpoint": self._describe,
            "DeleteEndpoint": self._delete,
            "ListEndpoints": self._endpoints.list,
        }

    def _create(self, request: CreateEndpoint) -> OpaqueAnswer:
        name = request["EndpointName"]
        now = self._clock.time()
        wanted = self._wanted(request["EndpointConfigName"], 1, {})
        endpoint_status.launch(wanted, now)
        endpoint: Endpoint = {
            "EndpointName": name,
            "EndpointConfigName": wanted["EndpointConfigName"],
            "CreationTime": now,
            "Wanted": wanted,
            "EndpointStatus": "Creating",
            "LastModifiedTime": now,
            "EndpointArn": self._endpoints.arn(name),
            "Tags": request.get("Tags", []),
        }
        if "DeploymentConfig" in request:
            self._check_deployment_config(request["DeploymentConfig"])
            endpoint["LastDeploymentConfig"] = request["DeploymentConfig"]
        endpoint_arn = self._endpoints.insert(name, endpoint)
        self._deployer.deploy(name)
        return {"EndpointArn": endpoint_arn}

    def _update(self, request: UpdateEndpoint) -> OpaqueAnswer:
        endpoint = self._endpoints.get(request["EndpointName"])
        name = endpoint["EndpointName"]
        if "DeploymentConfig" in request and request.get("RetainDeploymentConfig"):
            raise validation_error("DeploymentConfig can't be specified together with RetainDeploymentConfig.")
        deployment_config: DeploymentConfig = request.get("DeploymentConfig", {})
        if request.get("RetainDeploymentConfig"):
            deployment_config = endpoint.get("LastDeploymentConfig", {})
        self._check_deployment_config(deployment_config)
        wanted = self._wanted(request["EndpointConfigName"], 0, deployment_config)
        config_name = wanted["EndpointConfigName"]

        def updating(endpoint: Endpoint) -> None:
            _require_in_service(endpoint)
            if endpoint["EndpointConfigName"] == config_name:
                raise validation_error(
                    f'Cannot update endpoint with the currently in use endpoint configuration "{config_name}".'
                )
            deployed = endpoint["Deployed"]
            self._scaling.check_update(name, deployed, wanted)
            if request.get("RetainAllVariantProperties"):
                _retain(wanted, deployed, request.get("ExcludeRetainedVariantProperties", []))
            _check_fleets(deployment_config, deployed, wanted)
            wanted["Revision"] = deployed["Revision"] + 1
            endpoint_status.begin(endpoint, wanted, self._clock.time())
            if "DeploymentConfig" in request:
                endpoint["LastDeploymentConfig"] = deployment_config

        self._endpoints.update(name, updating)
        self._deployer.deploy(name)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def adjust(self, request: UpdateEndpointWeightsAndCapacities) -> OpaqueAnswer:
        """Answer UpdateEndpointWeightsAndCapacities."""
        endpoint, desired = self._endpoints.get(request["EndpointName"]), request["DesiredWeightsAndCapacities"]
        name = endpoint["EndpointName"]

        def adjusting(endpoint: Endpoint) -> None:
            _require_in_service(endpoint)
            _check_desired(endpoint, desired)
            endpoint_status.adjust(endpoint, desired, self._clock.time())

        self._endpoints.update(name, adjusting)
        self._deployer.adjust(name)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def _check_deployment_config(self, config: DeploymentConfig) -> None:
        try:
            rollout.check(config)
            missing = self._alarms.missing(rollout.alarms(config))
        except rollout.InvalidDeploymentConfigError as error:
            raise validation_error(str(error)) from error
        except AlarmsUnknownError as error:
            raise ServiceError("ServiceUnavailable", f"{error}; try again.", 503) from error
        if missing:
            raise validation_error(
                f"Could not find the CloudWatch alarms specified in AutoRollbackConfiguration: {', '.join(missing)}."
            )

    def _wanted(self, config_name: str, revision: int, deployment_config: DeploymentConfig) -> Deployment:
        config, now = self._configs.get(config_name), self._clock.time()
        wanted: Deployment = {
            "EndpointConfigName": config["EndpointConfigName"],
            "Revision": revision,
            "StartTime": now,
            "DeploymentConfig": deployment_config,
            "Variants": [self._variant(variant, now) for variant in config["ProductionVariants"]],
        }
        if "DataCaptureConfig" in config:
            wanted["DataCaptureConfig"] = config["DataCaptureConfig"]
        if "MetricsConfig" in config:
            wanted["MetricsConfig"] = config["MetricsConfig"]
        return wanted

    def _variant(self, variant: ProductionVariant, now: float) -> DeployedVariant:
        container = self._models.container(variant["ModelName"])
        deployed: DeployedVariant = {
            "VariantName": variant["VariantName"],
            "Weight": variant["InitialVariantWeight"],
            "DesiredWeight": variant["InitialVariantWeight"],
            "DesiredInstances": variant.get("InitialInstanceCount", 0),
            "ModelName": variant["ModelName"],
            "Image": container["Image"],
            "ModelDataUrl": container.get("ModelDataUrl", ""),
            "Environment": container.get("Environment", {}),
            "ResolutionTime": now,
        }
        if "InstanceType" in variant:
            require_quota(variant["InstanceType"], "endpoint usage", variant["InitialInstanceCount"])
            deployed["InstanceType"] = variant["InstanceType"]
        if "ServerlessConfig" in variant:
            deployed["ServerlessConfig"] = variant["ServerlessConfig"]
        if "RoutingConfig" in variant:
            deployed["RoutingConfig"] = variant["RoutingConfig"]
        return deployed

    def _describe(self, request: NamedEndpoint) -> DescribedEndpoint:
        return endpoint_status.described(self._endpoints.get(request["EndpointName"]))

    def _delete(self, request: NamedEndpoint) -> None:
        name = self._endpoints.get(request["EndpointName"])["EndpointName"]

        def deleting(endpoint: Endpoint) -> None:
            _require_settled(endpoint)
            endpoint_status.delete(endpoint, self._clock.time())

        endpoint = self._endpoints.update(name, deleting)
        self._tags.drop(endpoint["EndpointArn"])
        self._scaling.drop(name)
        self._deployer.remove(name)


def _require_settled(endpoint: Endpoint) -> None:
    """Refuse every change of an endpoint that is in progress, its deletion too."""
    if endpoint["EndpointStatus"] in _IN_PROGRESS:
        raise validation_error(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')


def _require_in_service(endpoint: Endpoint) -> None:
    _require_settled(endpoint)
    if endpoint["EndpointStatus"] != "InService":
        raise validation_error(
            f'Cannot update endpoint "{endpoint["EndpointArn"]}" in status {endpoint["EndpointStatus"]}: delete it.'
        )


def _retain(wanted: Deployment, deployed: Deployment, excluded: Iterable[VariantProperty]) -> None:
    """Keep weights and instances of variants that stay, unless they are excluded (RetainAllVariantProperties)."""
    kinds = {each["VariantPropertyType"] for each in excluded}
    before = {variant["VariantName"]: variant for variant in deployed["Variants"]}
    for variant in wanted["Variants"]:
        if variant["VariantName"] not in before:
            continue
        kept = before[variant["VariantName"]]
        if "DesiredWeight" not in kinds:
            variant["Weight"] = variant["DesiredWeight"] = kept["DesiredWeight"]
        if "DesiredInstanceCount" not in kinds and "ServerlessConfig" not in {**variant, **kept}:
            variant["DesiredInstances"] = kept["DesiredInstances"]


def _check_fleets(config: DeploymentConfig, deployed: Deployment, wanted: Deployment) -> None:
    old, new = endpoint_status.instances(deployed), endpoint_status.instances(wanted)
    try:
        rollout.check_fleets(config, old, new)
    except rollout.InvalidDeploymentConfigError as error:
        raise validation_error(str(error)) from error


def _check_desired(endpoint: Endpoint, desired: list[DesiredWeightAndCapacity]) -> None:
    """Refuse changes of variants that don't exist, or that are of the other kind."""
    variants = {variant["VariantName"]: variant for variant in endpoint["Deployed"]["Variants"]}
    for change in desired:
        name = change["VariantName"]
        if name not in variants:
            raise validation_error(f'Could not find variant {name} of endpoint "{endpoint["EndpointArn"]}".')
        check_weight(name, change.get("DesiredWeight", 1.0))
        serverless = "ServerlessConfig" in variants[name]
        if serverless and "DesiredInstanceCount" in change:
            raise validation_error(f"Variant {name} is serverless: it has no DesiredInstanceCount.")
        if not serverless and "ServerlessUpdateConfig" in change:
            raise validation_error(f"Variant {name} is not serverless: it takes no ServerlessUpdateConfig.")
        if change.get("DesiredInstanceCount") == 0:
            raise validation_error(f"DesiredInstanceCount of variant {name} must be at least 1.")
