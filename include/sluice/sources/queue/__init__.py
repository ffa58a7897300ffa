"""SQS queues: drained in lanes, deleted behind what is durable."""
