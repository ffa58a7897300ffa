"""Training on SageMaker: the same inputs give the same request, and one request gives one job."""
