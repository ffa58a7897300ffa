"""Lambda functions that run: in processes of their images, with Lambda's Runtime API, limits, logs and retries.

Restores: what a function may rely on. The released emulator runs a zip in its own interpreter, as its own user and
without limits, and an image with Docker only; it forgets accepted events when it ends. ``deployed`` reads the
emulator's record of a function, ``runtime_api`` and ``environment`` run it, ``pool`` keeps it warm, ``executor`` runs
one invocation with its logs, ``events`` and ``delivery`` run asynchronous ones, ``requests`` and ``operations`` check
and answer requests.

Source: AWS Lambda Developer Guide, "Lambda execution environment lifecycle", "Using the Lambda runtime API", "Using
Lambda environment variables", "Understanding retry behavior in Lambda", "Invoking a Lambda function asynchronously".
"""
