"""Amazon ECS, as far as tasks on Fargate need it: they really run, as processes of this machine.

Restores: RunTask runs its containers, with their memory as a limit, their logs, their role's credentials and the
states of a task. The released emulator runs containers with Docker; without it, a task is RUNNING for ever and nothing
runs. What ECS refuses is refused: sizes that Fargate doesn't have, missing clusters, networks and roles.

Clusters, task definitions, tasks and tags are in the emulator's own records, so they are saved as those of other
services.

Source: Amazon ECS API Reference; Amazon ECS Developer Guide for AWS Fargate.
"""
