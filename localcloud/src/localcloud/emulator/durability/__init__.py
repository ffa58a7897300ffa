"""What the emulator has answered is on disk, as at AWS, where a service answers once it has stored a request.

``saving`` writes before each answer; ``queues``, ``streams`` and ``logs`` say what of them has changed; ``state_file``
is where it goes. The objects of S3 are files of their own (:mod:`localcloud.emulator.object_files`).

Source: Amazon SQS Developer Guide, "What is Amazon SQS" (durability: messages are stored on several servers), and API
reference, SendMessage (sequence numbers only grow); Amazon Kinesis Data Streams Developer Guide, "Key concepts" (data
is replicated across three Availability Zones).
"""
