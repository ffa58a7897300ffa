"""The topic of a pipeline's completion events, and a queue that keeps them, in its template."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, sns, sqs

from sluice.aws.template import Export, Fragment, Statement, arn
from sluice.declaration.pipeline import Pipeline

TOPIC, QUEUE, POLICY = "Completions", "CompletionsQueue", "CompletionsQueuePolicy"
_FORTNIGHT = 14 * 24 * 60 * 60  # seconds


def completions_template(pipeline: Pipeline) -> Fragment:
    """The topic, a queue that subscribes to it, and that the workers may publish."""
    name = f"{pipeline.name}-completions.fifo"
    encryption: dict[str, Any] = {"KmsMasterKeyId": pipeline.kms_key} if pipeline.kms_key else {}
    topic = sns.Topic(TOPIC, TopicName=name, FifoTopic=True, ContentBasedDeduplication=False, **encryption)
    # The queue keeps SQS's own encryption: SNS may use a key only if the key's own policy names it, and without that
    # events would be lost in silence. They hold names and counts.
    queue = sqs.Queue(
        QUEUE,
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
        QueueName=name,
        FifoQueue=True,
        ContentBasedDeduplication=False,
        MessageRetentionPeriod=_FORTNIGHT,
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
        statements=(Statement("AnnounceCompletion", ("sns:Publish",), (arn("sns", name),)),),
    )


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
