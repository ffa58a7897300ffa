"""The objects that jobs and endpoints read and write in S3."""
