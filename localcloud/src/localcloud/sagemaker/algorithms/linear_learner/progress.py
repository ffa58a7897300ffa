"""The lines of a training job's log, as in captures of the service's logs."""

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
    """Writes the log to standard output, from which the platform reads metrics. Epochs count from 0."""

    def trained(self, epoch: int, objective: str, losses: Losses) -> None:
        """Log the losses of an epoch's training.

        Args:
            epoch: The epoch.
            objective: The name of the loss.
            losses: Each model's mean loss.
        """
        self._losses(epoch, "train", objective, losses)

    def validated(self, epoch: int, objective: str, losses: Losses) -> None:
        """Log the losses on the validation data; the arguments are those of `trained`."""
        self._losses(epoch, "validation", objective, losses)

    def judged(self, epoch: int, criterion: str, value: float, improved: bool, waited: int) -> None:
        """Log the criterion of early stopping.

        Args:
            epoch: The epoch.
            criterion: The criterion's name.
            value: The criterion's value of the best model.
            improved: Whether this epoch is an improvement.
            waited: How many epochs there were without improvement, this one included.
        """
        logger.info(
            "#early_stopping_criteria_metric: host=%s, epoch=%d, criteria=%s, value=%r", _HOST, epoch, criterion, value
        )
        if improved:
            logger.info("Epoch %d: Loss improved. Updating best model", epoch)
        else:
            logger.info("Epoch %d: Loss has not improved for %d epochs.", epoch, max(waited - 1, 0))

    def ended(self, epoch: int, epochs: int, records_per_second: float) -> None:
        """Log the end of an epoch.

        Args:
            epoch: The epoch.
            epochs: How many epochs there are.
            records_per_second: The speed of the training.
        """
        logger.info("#progress_metric: host=%s, completed %d %% of epochs", _HOST, 100 * (epoch + 1) // epochs)
        logger.info("#throughput_metric: host=%s, train throughput=%r records/second", _HOST, records_per_second)

    def scored(self, channel: str, metrics: Sequence[Metric]) -> None:
        """Log the metrics of the chosen model on a channel's data."""
        for metric in metrics:
            logger.info("#%s_score (%s) : (%r, %r)", channel, _HOST, metric.name, metric.value)
        for metric in metrics:
            logger.info(
                "#quality_metric: host=%s, %s %s <%s>=%r", _HOST, channel, metric.name, metric.kind, metric.value
            )

    def chosen(self, setting: str) -> None:
        """Log the setting of the chosen model, which is JSON."""
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
            record = {
                "StartTime": now,
                "EndTime": now,
                "Dimensions": dimensions,
                "Metrics": {f"{channel}_{objective}": aggregate},
            }
            sys.stdout.write(f"#metrics {json.dumps(record)}\n")
        # This line has the first model's loss, not the best one's, as on the service.
        logger.info(
            "#quality_metric: host=%s, epoch=%d, %s %s <loss>=%r", _HOST, epoch, channel, objective, losses[0].item()
        )


class Silent(Progress):
    """Logs nothing, for training without a job."""

    def trained(self, epoch: int, objective: str, losses: Losses) -> None:
        """Do nothing."""

    def validated(self, epoch: int, objective: str, losses: Losses) -> None:
        """Do nothing."""

    def judged(self, epoch: int, criterion: str, value: float, improved: bool, waited: int) -> None:
        """Do nothing."""

    def ended(self, epoch: int, epochs: int, records_per_second: float) -> None:
        """Do nothing."""
