"""Handlers of functions under test; the event says what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3

_calls = 0
sys.stdout.write("cold start\n")


def handler(event: Any, context: Any) -> Any:
    """Do what the event's ``do`` says."""
    global _calls
    _calls += 1
    return {"calls": _calls, "pid": os.getpid(), **(_ACTIONS[event["do"]](event, context) if "do" in event else {})}


def _environment(event: Any, context: Any) -> Any:
    return {"environment": dict(os.environ)}


def _context(event: Any, context: Any) -> Any:
    return {
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "milliseconds": context.get_remaining_time_in_millis(),
        "stream": context.log_stream_name,
        "custom": context.client_context.custom if context.client_context else None,
        "folder": os.getcwd(),
    }


def _caller(event: Any, context: Any) -> Any:
    return {"caller": boto3.client("sts").get_caller_identity()["Arn"]}


def _fail(event: Any, context: Any) -> Any:
    raise ValueError(event["message"])


def _leave(event: Any, context: Any) -> Any:
    os._exit(event["code"])


def _eat(event: Any, context: Any) -> Any:
    block = bytearray(event["megabytes"] * 1024 * 1024)
    return {"bytes": len(block)}


def _eat_in_child(event: Any, context: Any) -> Any:
    script = f"import time; block = bytearray({event['megabytes'] * 1024 * 1024}); time.sleep(60)"
    subprocess.run([sys.executable, "-c", script], check=False)


def _die_with_a_child(event: Any, context: Any) -> Any:
    """Leave a child in a group of its own."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
    sys.stdout.write(f"child {child.pid}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def _fill(event: Any, context: Any) -> Any:
    for number in range(event["files"]):
        Path(tempfile.gettempdir(), str(number)).write_bytes(bytes(event["megabytes"] * 1024 * 1024))
    time.sleep(event.get("seconds", 0))
    return {"files": event["files"]}


def _wait(event: Any, context: Any) -> Any:
    time.sleep(event["seconds"])
    return {}


def _answer(event: Any, context: Any) -> Any:
    return {"text": "x" * event["bytes"]}


def _read(event: Any, context: Any) -> Any:
    return {"text": Path(event["path"]).read_text()}


def _note(event: Any, context: Any) -> Any:
    """Send a note to a queue, as evidence of an invocation, and fail as often as the event says."""
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=event["queue"], MessageBody=context.aws_request_id)
    time.sleep(event.get("seconds", 0))
    if event.get("fails"):
        raise ValueError("as asked")
    return {}


_ACTIONS = {
    "environment": _environment,
    "context": _context,
    "caller": _caller,
    "fail": _fail,
    "leave": _leave,
    "eat": _eat,
    "eat in child": _eat_in_child,
    "die with a child": _die_with_a_child,
    "fill": _fill,
    "wait": _wait,
    "answer": _answer,
    "read": _read,
    "note": _note,
}
