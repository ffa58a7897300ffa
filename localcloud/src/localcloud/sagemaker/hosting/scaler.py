"""Scales endpoint variants by their policies: it compares the invocations of the last minute with the target value.

It looks once a second. AWS does it by alarms, which need three minutes to scale out, and fifteen to scale in.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable

from localcloud.sagemaker.api.store import MissingResourceError, Store
from localcloud.sagemaker.hosting.documents import (
    ENDPOINT,
    DesiredWeightAndCapacity,
    UpdateEndpointWeightsAndCapacities,
)
from localcloud.sagemaker.hosting.runtime import Invoked
from localcloud.sagemaker.hosting.scalable_targets import ScalableTargets, endpoint_and_variant
from localcloud.sagemaker.hosting.scaling_documents import ScalableTarget
from localcloud.sagemaker.hosting.shifting import Clock
from localcloud.service_model.errors import ServiceError

_LOOK_SECONDS = 1.0
_CLOSE_SECONDS = 10.0
_WINDOW_SECONDS = 60.0
_COOLDOWN_SECONDS = 300  # API reference, TargetTrackingScalingPolicyConfiguration

logger = logging.getLogger(__name__)


class Load:
    """The invocations of the last minute. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], deque[float]] = {}

    def record(self, invoked: Invoked) -> None:
        """Count one invocation."""
        with self._lock:
            times = self._times.setdefault((invoked.endpoint, invoked.variant.name), deque())
            times.append(self._clock.time())
            self._drop_old(times)

    def last_minute(self, endpoint: str, variant: str) -> int:
        """Return how often a variant was invoked in the last minute."""
        with self._lock:
            times = self._times.get((endpoint, variant), deque())
            self._drop_old(times)
            return len(times)

    def _drop_old(self, times: deque[float]) -> None:
        oldest = self._clock.time() - _WINDOW_SECONDS
        while times and times[0] < oldest:
            times.popleft()


def wanted(target: ScalableTarget, instances: int, invocations: int, now: float) -> int:
    """Return how many instances a variant should have.

    Args:
        target: The variant's target.
        instances: How many it has.
        invocations: How often it was invoked in the last minute.
        now: The time in seconds since the epoch.
    """
    aim = instances
    for policy in target["Policies"].values():
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        ideal, changed = math.ceil(invocations / tracking["TargetValue"]), target.get("ScaledTime", 0.0)
        if ideal > instances and now - changed >= tracking.get("ScaleOutCooldown", _COOLDOWN_SECONDS):
            aim = ideal
        rests = now - max(changed, policy["CreationTime"]) >= tracking.get("ScaleInCooldown", _COOLDOWN_SECONDS)
        if ideal < instances and rests and not tracking.get("DisableScaleIn", False):
            aim = ideal
    return min(max(aim, target["MinCapacity"]), target["MaxCapacity"])


class Scaler:
    """Changes the number of instances of variants, from a thread of its own.

    Args:
        store: Where the endpoints' documents are.
        targets: The variants that scale.
        load: Counts their invocations.
        adjust: The operation UpdateEndpointWeightsAndCapacities.
        clock: The time.
    """

    def __init__(
        self,
        store: Store,
        targets: ScalableTargets,
        load: Load,
        adjust: Callable[[UpdateEndpointWeightsAndCapacities], object],
        clock: Clock,
    ) -> None:
        self._store = store
        self._targets = targets
        self._load = load
        self._adjust = adjust
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._scale_on, name="scaler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(_CLOSE_SECONDS)

    def scale(self) -> None:
        """Look at each variant that scales once. An endpoint that is in progress waits for the next look."""
        for target in self._targets.all():
            try:
                self._scale(target)
            except (ServiceError, MissingResourceError) as error:
                logger.info("%s is not scaled now: %s", target["ResourceId"], error)

    def _scale_on(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self.scale()
            except Exception:
                logger.exception("endpoints are not scaled")

    def _scale(self, target: ScalableTarget) -> None:
        name, variant = endpoint_and_variant(target["ResourceId"])
        endpoint = self._store.get(ENDPOINT, name)
        if endpoint["EndpointStatus"] != "InService":
            return
        found = next(each for each in endpoint["Deployed"]["Variants"] if each["VariantName"] == variant)
        count = wanted(target, found["DesiredInstances"], self._load.last_minute(name, variant), self._clock.time())
        if count == found["DesiredInstances"]:
            return
        change: DesiredWeightAndCapacity = {"VariantName": variant, "DesiredInstanceCount": count}
        self._adjust({"EndpointName": name, "DesiredWeightsAndCapacities": [change]})
        self._targets.scaled(target["ResourceId"])
