"""XGBoost as the public 3.2-0 container runs it in algorithm mode.

The rules and messages are those of aws/sagemaker-xgboost-container (Apache 2.0), in code of our own.
"""
