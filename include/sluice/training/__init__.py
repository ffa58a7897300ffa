"""Training on SageMaker: a request that is the same for the same inputs, one job for one request, and the gate."""
