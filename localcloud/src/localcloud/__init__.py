"""An AWS cloud for one machine: an emulator of its services, and a SageMaker that really trains and serves.

Start it with ``python -m localcloud up``; see README.md beside this file.
"""
