"""Stores what a request has changed before its answer, as AWS does.

``saving`` writes before each answer; ``queues``, ``streams`` and ``logs`` find what has changed; ``state_file`` is the
file. The objects of S3 are files of their own (:mod:`localcloud.emulator.object_files`).

Source: Amazon SQS Developer Guide, "What is Amazon SQS" (durability: messages are stored on several servers), and API
reference, SendMessage (sequence numbers only grow); Amazon Kinesis Data Streams Developer Guide, "Key concepts" (data
is replicated across three Availability Zones).
"""
