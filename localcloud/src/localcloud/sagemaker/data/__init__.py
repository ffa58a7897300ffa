"""The objects that jobs and endpoints read and write, in the S3 of the endpoint that the stand-in was given."""
