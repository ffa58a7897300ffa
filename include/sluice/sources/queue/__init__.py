"""SQS queues: drained in lanes. A message is deleted once it is durable."""
