"""The web UI of ``make up``: only the password makes a user an administrator, and only its own names reach it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from deploy.checkout import Checkout, make_checkout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = make_checkout(tmp_path_factory.mktemp("web") / "checkout")
    try:
        status, output = made.run("up")
        assert status == 0, output
        (made.folder / "output").write_text(output)
        yield made
    finally:
        made.run("down")


def _send(running: Checkout, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, str]:
    """Send a request; return the status, the cookie and the body of the answer."""
    connection = HTTPConnection("127.0.0.1", running.web_port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Set-Cookie", ""), answer.read().decode()
    finally:
        connection.close()


def _password_file(running: Checkout) -> Path:
    return Path(running.settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])


def _link(running: Checkout) -> str:
    (line,) = (line for line in (running.folder / "output").read_text().splitlines() if "/sluice/login/#" in line)
    return line.strip()


@pytest.mark.parametrize(("method", "path"), [("GET", "/auth/token"), ("GET", "/auth/token/login")])
def test_no_token_is_given_without_the_password(running: Checkout, method: str, path: str) -> None:
    status, cookie, _ = _send(running, method, path)

    assert status == 403
    assert cookie == ""


def test_api_refuses_requests_without_a_token(running: Checkout) -> None:
    for path in ("/api/v2/dags", "/ui/config", "/api/v2/connections"):
        assert _send(running, "GET", path)[0] == 401, path


@pytest.mark.parametrize(
    "path",
    ["/", "/auth/token", "/auth/login", "/api/v2/dags", "/api/v2/monitor/health", "/execution/", "/sluice/login/"],
)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:{port}", "localhost.evil.example"])
def test_foreign_host_is_refused_everywhere(running: Checkout, path: str, host: str) -> None:
    status, cookie, body = _send(running, "GET", path, Host=host.format(port=running.web_port))

    assert (status, cookie, body) == (400, "", "Invalid host header")


def test_foreign_host_gets_no_token_even_with_the_password(running: Checkout) -> None:
    ((user, password),) = json.loads(_password_file(running).read_text()).items()
    body = json.dumps({"username": user, "password": password})

    assert _send(running, "POST", "/auth/token", body, Content_Type="application/json")[0] == 201
    assert _send(running, "POST", "/auth/token", body, Content_Type="application/json", Host="evil.example")[0] == 400


def test_airflow_answers_under_its_own_names(running: Checkout) -> None:
    for host in ("127.0.0.1", "localhost", f"localhost:{running.web_port}"):
        assert _send(running, "GET", "/api/v2/monitor/health", Host=host)[0] == 200, host


def test_only_its_owner_reads_the_password(running: Checkout) -> None:
    assert stat.S_IMODE(_password_file(running).stat().st_mode) == 0o600


def test_printed_link_logs_in(running: Checkout) -> None:
    address, _, password = _link(running).partition("#")
    assert address == f"{running.url}/sluice/login/"

    assert _send(running, "GET", "/sluice/login/")[0] == 200
    status, cookie, _ = _send(running, "POST", "/sluice/login/", password)

    assert status == 204
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert _send(running, "GET", "/ui/config", Cookie=cookie.partition(";")[0])[0] == 200


@pytest.mark.parametrize("body", ["", "wrong", "\x00", "admin"])
def test_another_password_is_refused(running: Checkout, body: str) -> None:
    status, cookie, _ = _send(running, "POST", "/sluice/login/", body)

    assert status in (400, 401)
    assert cookie == ""


def test_password_is_in_no_log(running: Checkout) -> None:
    password = _link(running).partition("#")[2]
    _send(running, "POST", "/sluice/login/", password)

    logs = list((running.folder / ".sluice" / "airflow" / "logs").rglob("*.log"))
    assert len(logs) >= 5
    assert [log.name for log in logs if password in log.read_text(errors="replace")] == []


def test_password_stays_the_same(running: Checkout) -> None:
    before = _password_file(running).read_text()

    status, output = running.run("up")

    assert status == 0, output
    assert _link(running) in output
    assert _password_file(running).read_text() == before
