"""The AWS provider's own SageMaker classes, unmodified: train, wait, deploy, transform. Parameters: bucket and name."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointConfigOperator,
    SageMakerEndpointOperator,
    SageMakerModelOperator,
    SageMakerTrainingOperator,
    SageMakerTransformOperator,
)
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTrainingSensor
from airflow.sdk import DAG

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
ROLE = "arn:aws:iam::000000000000:role/training-role"
BUCKET, NAME = "{{ params.bucket }}", "{{ params.name }}"


def channel(name: str) -> dict[str, object]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://{BUCKET}/data/{name}/",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}


TRAINING = {
    "TrainingJobName": NAME,
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "HyperParameters": {"objective": "binary:logistic", "num_round": "12", "max_depth": "3", "eval_metric": "auc"},
    "InputDataConfig": [channel("train"), channel("validation")],
    "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
    "StoppingCondition": {"MaxRuntimeInSeconds": 600},
}
MODEL = {
    "ModelName": NAME,
    "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/{NAME}/output/model.tar.gz"},
}
VARIANT = {"VariantName": "all", "ModelName": NAME, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
TRANSFORM = {
    "TransformJobName": NAME,
    "ModelName": NAME,
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/rows/"}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/scores", "AssembleWith": "Line"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}

with DAG(
    "provider_sagemaker",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"bucket": "none", "name": "none"},
) as dag:
    train = SageMakerTrainingOperator(task_id="train", config=TRAINING, wait_for_completion=False, print_log=False)
    wait = SageMakerTrainingSensor(task_id="wait", job_name=NAME, print_log=False, poke_interval=1, timeout=120)
    model = SageMakerModelOperator(task_id="model", config=MODEL)
    configure = SageMakerEndpointConfigOperator(
        task_id="configure", config={"EndpointConfigName": NAME, "ProductionVariants": [VARIANT]}
    )
    deploy = SageMakerEndpointOperator(
        task_id="deploy",
        config={"EndpointName": NAME, "EndpointConfigName": NAME},
        wait_for_completion=True,
        check_interval=1,
    )
    transform = SageMakerTransformOperator(
        task_id="transform", config=TRANSFORM, wait_for_completion=True, check_interval=1
    )
    train >> wait >> model >> configure >> deploy >> transform
