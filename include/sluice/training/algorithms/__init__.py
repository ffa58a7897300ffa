"""SageMaker's built-in algorithms, one module each."""
