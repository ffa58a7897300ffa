"""The part of a pipeline's template for completion events: the topic, and a queue that keeps them."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, sns, sqs

from sluice.aws.template import Export, Fragment, Statement, arn
from sluice.declaration.pipeline import Pipeline

TOPIC, QUEUE, POLICY = "Completions", "CompletionsQueue", "CompletionsQueuePolicy"
_TWO_WEEKS = 14 * 24 * 60 * 60  # seconds


def completions_template(pipeline: Pipeline) -> Fragment:
    """Return the topic, a queue that subscribes to it, and the workers' right to publish."""
    name = _name(pipeline)
    encryption: dict[str, Any] = {"KmsMasterKeyId": pipeline.kms_key} if pipeline.kms_key else {}
    topic = sns.Topic(TOPIC, TopicName=name, FifoTopic=True, ContentBasedDeduplication=False, **encryption)
    # The queue has SQS's own encryption. SNS may use a customer's key only if the key's policy allows it. If it didn't,
    # events would be lost without an error. Events have names and counts only.
    queue = sqs.Queue(
        QUEUE,
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
        QueueName=name,
        FifoQueue=True,
        ContentBasedDeduplication=False,
        MessageRetentionPeriod=_TWO_WEEKS,
    )
    subscription = sns.SubscriptionResource(
        "CompletionsSubscription",
        DependsOn=POLICY,
        TopicArn=Ref(TOPIC),
        Protocol="sqs",
        Endpoint=GetAtt(QUEUE, "Arn"),
        RawMessageDelivery=True,
    )
    return Fragment(
        resources=(topic, queue, _only_from_the_topic(), subscription),
        exports=(
            Export("Topic", "topic", Ref(TOPIC), "ARN of the completion topic; subscribe to it."),
            Export(QUEUE, "completions-queue", Ref(QUEUE), "URL of the queue that subscribes to the completion topic."),
        ),
        statements=completions_rights(pipeline),
    )


def completions_rights(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the right to publish completion events."""
    return (Statement("AnnounceCompletion", ("sns:Publish",), (arn("sns", _name(pipeline)),)),)


def _name(pipeline: Pipeline) -> str:
    return f"{pipeline.name}-completions.fifo"


def _only_from_the_topic() -> sqs.QueuePolicy:
    allowed: dict[str, Any] = {
        "Sid": "OnlyTheCompletionTopic",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": GetAtt(QUEUE, "Arn"),
        "Condition": {"ArnEquals": {"aws:SourceArn": Ref(TOPIC)}},
    }
    return sqs.QueuePolicy(
        POLICY, Queues=[Ref(QUEUE)], PolicyDocument={"Version": "2012-10-17", "Statement": [allowed]}
    )
