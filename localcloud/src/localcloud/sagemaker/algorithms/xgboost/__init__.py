"""XGBoost as the public 3.2-0 container runs it in algorithm mode.

The rules and their words are those of aws/sagemaker-xgboost-container (Apache 2.0), written anew.
"""
