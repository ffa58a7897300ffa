"""Trains with the SageMaker Python SDK, in its own environment: ``sdk_train.py ROLE BUCKET`` prints the job's name."""

from __future__ import annotations

import sys

from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition


def main(role: str, bucket: str) -> None:
    trainer = ModelTrainer(
        training_image="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
        role=role,
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/models"),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        hyperparameters={"objective": "binary:logistic", "num_round": "12", "max_depth": "3", "eval_metric": "auc"},
        base_job_name="model-trainer",
        training_input_mode="File",
    )
    channels = [
        InputData(channel_name=name, data_source=f"s3://{bucket}/data/{name}/", content_type="text/csv")
        for name in ("train", "validation")
    ]
    trainer.train(input_data_config=channels, wait=True, logs=True)
    sys.stdout.write(f"\n{trainer._latest_training_job.training_job_name}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
