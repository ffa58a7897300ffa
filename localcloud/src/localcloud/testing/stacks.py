"""A CloudFormation template for tests of stacks."""

from __future__ import annotations

import json
from typing import Any

WAIT: Any = {"Delay": 1, "MaxAttempts": 60}


def template(name: str, *, visibility: int = 30) -> str:
    """Return a template with a resource of each kind that the emulator has."""
    queue = {"QueueName": f"{name}.fifo", "FifoQueue": True, "VisibilityTimeout": visibility}
    return json.dumps(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Parameters": {"Shards": {"Type": "Number", "Default": 1}},
            "Resources": {
                "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}},
                "Dead": {
                    "Type": "AWS::SQS::Queue",
                    "Properties": {"QueueName": f"{name}-dead.fifo", "FifoQueue": True},
                },
                "Queue": {
                    "Type": "AWS::SQS::Queue",
                    "Properties": {
                        **queue,
                        "RedrivePolicy": {
                            "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                            "maxReceiveCount": 5,
                        },
                    },
                },
                "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}},
                "Subscriber": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-events"}},
                "Subscription": {
                    "Type": "AWS::SNS::Subscription",
                    "Properties": {
                        "TopicArn": {"Ref": "Topic"},
                        "Protocol": "sqs",
                        "Endpoint": {"Fn::GetAtt": ["Subscriber", "Arn"]},
                        "RawMessageDelivery": True,
                    },
                },
                "Policy": {
                    "Type": "AWS::SQS::QueuePolicy",
                    "Properties": {
                        "Queues": [{"Ref": "Subscriber"}],
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Principal": {"Service": "sns.amazonaws.com"},
                                    "Action": "sqs:SendMessage",
                                    "Resource": {"Fn::GetAtt": ["Subscriber", "Arn"]},
                                    "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}},
                                }
                            ],
                        },
                    },
                },
                "Stream": {
                    "Type": "AWS::Kinesis::Stream",
                    "Properties": {"Name": name, "ShardCount": {"Ref": "Shards"}},
                },
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {
                        "RoleName": name,
                        "AssumeRolePolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Principal": {"Service": "sagemaker.amazonaws.com"},
                                    "Action": "sts:AssumeRole",
                                }
                            ],
                        },
                    },
                },
                "Parameter": {
                    "Type": "AWS::SSM::Parameter",
                    "Properties": {"Name": f"/{name}/queue", "Type": "String", "Value": {"Ref": "Queue"}},
                },
            },
            "Outputs": {
                "QueueUrl": {"Value": {"Ref": "Queue"}},
                "QueueArn": {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}},
                "TopicArn": {"Value": {"Ref": "Topic"}},
                "RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
                "BucketName": {"Value": {"Ref": "Bucket"}},
            },
        }
    )
