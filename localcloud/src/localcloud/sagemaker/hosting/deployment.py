"""Brings endpoints to the state that their documents want: loads the models, shifts the traffic, records the state.

Each change has a thread of its own, so that the bake of one endpoint delays no other. An endpoint serves its old models
until all new ones are loaded and have baked; if one can't be loaded, or an alarm goes off, it stays as it was.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable

from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.hosting import endpoint_status, rollout
from localcloud.sagemaker.hosting.documents import ENDPOINT, Deployment
from localcloud.sagemaker.hosting.fleet import Fleet, Variant
from localcloud.sagemaker.hosting.loading import Loader, LoadingError
from localcloud.sagemaker.hosting.shifting import Alarms, Clock, RolledBackError, Shift, StoppedError, TrafficShifter
from localcloud.service_model.errors import cause

_CLOSE_SECONDS = 15.0

logger = logging.getLogger(__name__)


class Deployer:
    """Carries out the changes of endpoints, one at a time of each: see `endpoint_status`.

    Args:
        store: Where the endpoints' documents are.
        loader: Loads the models.
        fleet: Gets the loaded variants.
        alarms: The alarms that roll deployments back.
        clock: The time of deployments; `close` stops it.
    """

    def __init__(self, store: Store, loader: Loader, fleet: Fleet, alarms: Alarms, clock: Clock) -> None:
        self._store = store
        self._loader = loader
        self._fleet = fleet
        self._clock = clock
        self._shifter = TrafficShifter(fleet, alarms, clock)
        self._threads: set[threading.Thread] = set()
        self._threads_lock = threading.Lock()

    def deploy(self, name: str) -> None:
        """Start the deployment that the endpoint's document wants."""
        self._start(self._deploy, name)

    def adjust(self, name: str) -> None:
        """Start the change to the weights and instance counts that the endpoint's document desires."""
        self._start(self._adjust, name)

    def remove(self, name: str) -> None:
        """Start the removal of an endpoint that is Deleting."""
        self._start(self._remove, name)

    def recover(self) -> None:
        """Serve what was in service when the stand-in last ended, and resume the changes that were under way.

        A deployment starts again, with all traffic on the old fleet, so that no bake is cut short. Its time-out isn't
        extended.
        """
        for endpoint in self._store.all(ENDPOINT):
            name = endpoint["EndpointName"]
            if endpoint["EndpointStatus"] == "Deleting":
                self.remove(name)
            elif "Deployed" in endpoint and not self._serve_again(name, endpoint["Deployed"]):
                continue
            elif "Wanted" in endpoint:
                self.deploy(name)
            elif endpoint["EndpointStatus"] == "Updating":
                self.adjust(name)

    def close(self) -> None:
        """Interrupt the changes under way; `recover` resumes them."""
        self._clock.stop()
        with self._threads_lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    def _start(self, change: Callable[[str], None], name: str) -> None:
        thread = threading.Thread(target=self._guarded, args=(change, name), name=f"deployment-{name}", daemon=True)
        with self._threads_lock:
            self._threads.add(thread)
        thread.start()

    def _guarded(self, change: Callable[[str], None], name: str) -> None:
        try:
            change(name)
        except StoppedError:
            logger.info("endpoint %s: its change is interrupted by the end of the stand-in", name)
        except Exception as error:
            logger.exception("endpoint %s", name)
            self._update(name, endpoint_status.fail, _failed(error))
        finally:
            with self._threads_lock:
                self._threads.discard(threading.current_thread())

    def _serve_again(self, name: str, deployed: Deployment) -> bool:
        """Return whether the endpoint serves; a fault of one endpoint stops neither the others nor the stand-in."""
        try:
            self._fleet.switch(name, self._loader.load(name, deployed))
        except LoadingError as error:
            logger.error("endpoint %s doesn't serve again: %s", name, error)
            self._update(name, endpoint_status.give_up, str(error))
            return False
        except Exception as error:
            logger.exception("endpoint %s doesn't serve again", name)
            self._update(name, endpoint_status.give_up, _failed(error))
            return False
        return True

    def _deploy(self, name: str) -> None:
        endpoint = self._store.get(ENDPOINT, name)
        wanted, deployed = endpoint["Wanted"], endpoint.get("Deployed")
        try:
            variants = self._loader.load(name, wanted)
            if deployed is None:
                # Before the status changes: a client that reads InService may invoke at once.
                self._fleet.switch(name, variants)
            else:
                self._shift(name, wanted, variants)
        except StoppedError:
            raise
        except Exception as error:
            # Before the status changes: a later deployment of the same revision must not find these files.
            self._loader.discard(name, wanted)
            if not isinstance(error, LoadingError | RolledBackError):
                raise
            self._update(name, endpoint_status.fail, str(error))
            return
        self._update(name, endpoint_status.put_in_service)
        if deployed is not None:
            self._loader.discard(name, deployed)

    def _shift(self, name: str, wanted: Deployment, variants: tuple[Variant, ...]) -> None:
        plan = rollout.plan(wanted["DeploymentConfig"], endpoint_status.instances(wanted))
        if plan.seconds >= plan.timeout:
            logger.warning(
                "endpoint %s: its deployment will be rolled back: it waits for %.0f seconds in all, and "
                "MaximumExecutionTimeoutInSeconds is %.0f",
                *(name, plan.seconds, plan.timeout),
            )
        self._shifter.run(
            Shift(name, self._fleet.serving(name), variants, plan, ends=wanted["StartTime"] + plan.timeout),
            report=lambda step: self._update(name, endpoint_status.bake, step),
        )

    def _adjust(self, name: str) -> None:
        desired = {each["VariantName"]: each for each in self._store.get(ENDPOINT, name)["Deployed"]["Variants"]}
        variants = tuple(
            dataclasses.replace(
                each,
                weight=desired[each.name]["DesiredWeight"],
                instances=desired[each.name]["DesiredInstances"],
            )
            for each in self._fleet.serving(name)
        )
        self._fleet.switch(name, variants)
        self._update(name, endpoint_status.settle)

    def _remove(self, name: str) -> None:
        self._fleet.drop(name)
        self._loader.discard_all(name)
        self._store.delete(ENDPOINT, name)

    def _update(self, name: str, change: Callable[..., None], *values: object) -> None:
        """Change the endpoint's document; ``change`` takes the document, the values and the time."""
        self._store.update(ENDPOINT, name, lambda endpoint: change(endpoint, *values, self._clock.time()))


def _failed(error: Exception) -> str:
    """Return the FailureReason of an endpoint whose change met an unforeseen error."""
    return f"InternalServerError: the stand-in failed: {cause(error)}"
