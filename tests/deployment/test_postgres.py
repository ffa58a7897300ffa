"""PostgreSQL of ``make up``: it starts on any state that an earlier server left, and requires the password."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from deploy.checkout import Checkout, make_checkout

from localcloud.testing.waiting import wait_for

_SECONDS = 30


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = make_checkout(tmp_path / "a checkout")
    (made.folder / ".sluice").mkdir()
    return made


def _connect(checkout: Checkout, password: str) -> psycopg.Connection[tuple[object, ...]]:
    port = int(checkout.settings["POSTGRES_PORT"])
    return psycopg.connect(
        host="127.0.0.1", port=port, user="sluice", password=password, dbname="postgres", connect_timeout=5
    )


@contextmanager
def _running(checkout: Checkout, password: str = "first") -> Iterator[subprocess.Popen[bytes]]:
    server = subprocess.Popen(
        [".venv/bin/python", "-m", "deploy.postgres"],
        cwd=checkout.folder,
        env={**checkout.settings, "POSTGRES_PASSWORD": password},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        assert server.poll() is None, "the server ended"
        try:
            _connect(checkout, password).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        wait_for(answers, seconds=_SECONDS, what="an answer of the server")
        yield server
    finally:
        server.terminate()
        server.wait(timeout=_SECONDS)


def _keep(checkout: Checkout, password: str) -> None:
    with _connect(checkout, password) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 36037 AS events")


def _kept(checkout: Checkout, password: str) -> object:
    with _connect(checkout, password) as connection:
        (row,) = connection.execute("SELECT events FROM kept").fetchall()
        return row[0]


def test_only_the_password_gives_access(checkout: Checkout) -> None:
    with _running(checkout, "first"), pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _connect(checkout, "second")


def test_new_password_takes_effect_and_the_records_stay(checkout: Checkout) -> None:
    with _running(checkout, "it's the first"):
        _keep(checkout, "it's the first")

    with _running(checkout, "second"):
        assert _kept(checkout, "second") == 36037
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            _connect(checkout, "it's the first")


def test_records_survive_a_kill(checkout: Checkout) -> None:
    with _running(checkout) as server:
        _keep(checkout, "first")
        server.kill()

    with _running(checkout):
        assert _kept(checkout, "first") == 36037


def test_lock_of_a_dead_server_is_ignored_when_another_program_has_its_process_id(checkout: Checkout) -> None:
    with _running(checkout) as server:
        server.kill()
    lock = checkout.folder / ".sluice" / "postgres" / "postmaster.pid"
    _, *rest = lock.read_text().splitlines(keepends=True)
    lock.write_text("".join([f"{os.getpid()}\n", *rest]))

    with _running(checkout):
        pass


def test_unfinished_data_folder_is_made_again(checkout: Checkout) -> None:
    half = checkout.folder / ".sluice" / "postgres.unfinished"
    half.mkdir()
    (half / "PG_VERSION").write_text("16\n")

    with _running(checkout):
        assert not half.exists()


def test_server_listens_on_loopback_alone_and_opens_no_socket_file(checkout: Checkout) -> None:
    with _running(checkout):
        lock = (checkout.folder / ".sluice" / "postgres" / "postmaster.pid").read_text().splitlines()
        # PostgreSQL's own record: line 5 is the directory of its socket files, line 6 the address it listens on.
        assert lock[4:6] == ["", "127.0.0.1"]
