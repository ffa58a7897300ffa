"""SageMaker's built-in algorithms: one module for each."""
