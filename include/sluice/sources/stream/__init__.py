"""Kinesis streams: read shard by shard, with a checkpoint for each shard."""
