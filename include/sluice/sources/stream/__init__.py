"""Kinesis streams: read shard by shard behind checkpoints."""
