"""The bank as a program."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from tests.bank import LEI
from tests.servers import free_port
from tests.stack import PROJECT

START_SECONDS = 30.0


def wait_for(port: int, program: "subprocess.Popen[bytes]") -> None:
    """Until the program listens."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if program.poll() is not None or time.monotonic() > until:
                raise
            threading.Event().wait(0.05)


def test_it_starts_as_a_program_and_keeps_what_was_done(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "examples.bank", "--port", str(port), "--data", str(tmp_path), "--key", "secret"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    freeze = f"http://127.0.0.1:{port}{LEI}/cards/6621/freeze"
    headers = {"Authorization": "Bearer secret", "Idempotency-Key": "k"}
    answers = []
    for _ in range(2):
        with subprocess.Popen(command, cwd=PROJECT, env=environment) as program:
            try:
                wait_for(port, program)
                answers.append(httpx.post(freeze, headers=headers))
            finally:
                program.kill()
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
