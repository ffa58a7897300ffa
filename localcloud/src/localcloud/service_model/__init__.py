"""What botocore's service models say of an operation: which requests are valid, and which members an answer has."""
