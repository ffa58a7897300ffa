"""The life of a model without Airflow: a state machine of AWS Step Functions, whose states call the library."""
