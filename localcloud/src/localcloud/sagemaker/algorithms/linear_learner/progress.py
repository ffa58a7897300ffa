"""The lines of a training job's log, as captures of the service's own show them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence

from localcloud.sagemaker.algorithms.linear_learner.evaluation import Metric
from localcloud.sagemaker.algorithms.linear_learner.selection import Losses

_HOST = "algo-1"

logger = logging.getLogger(__name__)


class Progress:
    """Writes what happens to the log: to standard output, which the platform reads metrics from."""

    def trained(self, epoch: int, objective: str, losses: Losses) -> None:
        """An epoch is over; ``losses`` has the mean of each model while it learnt."""
        self._losses(epoch, "train", objective, losses)

    def validated(self, epoch: int, objective: str, losses: Losses) -> None:
        """The losses of all models on the validation data."""
        self._losses(epoch, "validation", objective, losses)

    def judged(self, epoch: int, criterion: str, value: float, improved: bool, waited: int) -> None:
        """The best model's value of the criterion; ``waited`` counts the epochs without improvement, this one too."""
        logger.info(
            "#early_stopping_criteria_metric: host=%s, epoch=%d, criteria=%s, value=%r", _HOST, epoch, criterion, value
        )
        if improved:
            logger.info("Epoch %d: Loss improved. Updating best model", epoch)
        else:
            logger.info("Epoch %d: Loss has not improved for %d epochs.", epoch, max(waited - 1, 0))

    def ended(self, epoch: int, epochs: int, records_per_second: float) -> None:
        """The epoch and what belongs to it are over."""
        logger.info("#progress_metric: host=%s, completed %d %% of epochs", _HOST, 100 * (epoch + 1) // epochs)
        logger.info("#throughput_metric: host=%s, train throughput=%r records/second", _HOST, records_per_second)

    def scored(self, channel: str, metrics: Sequence[Metric]) -> None:
        """The metrics of the chosen model on a channel's data."""
        for metric in metrics:
            logger.info("#%s_score (%s) : (%r, %r)", channel, _HOST, metric.name, metric.value)
        for metric in metrics:
            logger.info(
                "#quality_metric: host=%s, %s %s <%s>=%r", _HOST, channel, metric.name, metric.kind, metric.value
            )

    def chosen(self, setting: str) -> None:
        """The settings of the chosen model, as JSON."""
        logger.info("Best model found for hyperparameters: %s", setting)

    def _losses(self, epoch: int, channel: str, objective: str, losses: Losses) -> None:
        now = time.time()
        for number, loss in enumerate(losses.tolist()):
            aggregate = {"sum": loss, "count": 1, "min": loss, "max": loss}
            dimensions = {
                "Algorithm": "Linear Learner",
                "Host": _HOST,
                "Operation": "training",
                "epoch": epoch,
                "model": number,
            }
            told = {
                "StartTime": now,
                "EndTime": now,
                "Dimensions": dimensions,
                "Metrics": {f"{channel}_{objective}": aggregate},
            }
            sys.stdout.write(f"#metrics {json.dumps(told)}\n")
        # The service tells the first model's here, not the best one's.
        logger.info(
            "#quality_metric: host=%s, epoch=%d, %s %s <loss>=%r", _HOST, epoch, channel, objective, losses[0].item()
        )


class Silent(Progress):
    """Says nothing: for training without a job."""

    def trained(self, epoch: int, objective: str, losses: Losses) -> None: ...

    def validated(self, epoch: int, objective: str, losses: Losses) -> None: ...

    def judged(self, epoch: int, criterion: str, value: float, improved: bool, waited: int) -> None: ...

    def ended(self, epoch: int, epochs: int, records_per_second: float) -> None: ...
