"""A stand-in for SageMaker: its control plane and its runtime, with real training and real serving."""
