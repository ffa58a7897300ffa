"""The first day of a user, by mouse: demo, up, a range, a cleared partition, and what is live."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from deploy.checkout import LONGEST, Checkout, make_checkout
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from tests.browser.conftest import Browser, StartBrowser
from tests.conftest import Cloud, cloud_at
from tests.deployment.files import ROOT

from localcloud.testing.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

DAYS = 4
_LONGEST_DEMO = 600  # seconds, on a machine that also runs another slow test


@dataclass(frozen=True)
class Started:
    """A checkout in which the README's two commands were run; ``login`` is the link that `make up` ended with."""

    checkout: Checkout
    login: str

    def cloud(self) -> Cloud:
        settings = self.checkout.settings
        return cloud_at(int(settings["LOCALCLOUD_PORT"]), int(settings["LOCALCLOUD_SAGEMAKER_PORT"]))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    checkout = make_checkout(tmp_path_factory.mktemp("story") / "with a space")
    shutil.copytree(ROOT / "demo", checkout.folder / "demo")
    try:
        status, output = _demo(checkout)
        assert status == 0, output
        status, output = checkout.run("up")
        assert status == 0, output
        (link,) = re.findall(r"http://127\.0\.0\.1:\d+/\S+#\S+", output)
        yield Started(checkout, link)
    finally:
        checkout.run("down")


def _demo(checkout: Checkout) -> tuple[int, str]:
    """Run the demo; return the exit status and the output. None of its processes outlives it."""
    demo = subprocess.Popen(
        [".venv/bin/python", "-m", "demo"],
        cwd=checkout.folder,
        env={**checkout.settings, "DAYS": str(DAYS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = demo.communicate(timeout=_LONGEST_DEMO)
        return demo.returncode, output
    finally:
        with suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)


class User:
    """A user, who sees the page and clicks on what it shows."""

    def __init__(self, browser: Browser, checkout: Checkout) -> None:
        self.browser, self.checkout = browser, checkout

    def see(self, path: str, *, seconds: float = 60) -> WebElement:
        """Return the element, once it is shown."""
        return wait_for(lambda: self._shown(path), seconds=seconds, what=path)

    def read(self, path: str, *, seconds: float = 60) -> str:
        """Return the text of the element, once it is shown."""

        def text() -> str:
            try:
                shown = self._shown(path)
                return shown.text if shown else ""
            except StaleElementReferenceException:
                return ""

        return wait_for(text, seconds=seconds, what=f"the text of {path}")

    def _shown(self, path: str) -> WebElement | None:
        """Return the first element that is shown; None as well if the page redraws it at this moment."""
        try:
            return next((each for each in self.browser.find_elements(By.XPATH, path) if each.is_displayed()), None)
        except StaleElementReferenceException:
            return None

    def click(self, path: str) -> None:
        """Click on it, again if the page has just redrawn it or still moves it."""

        def clicked() -> bool:
            try:
                self.see(path).click()
            except Exception as error:
                if "click" in str(error) or "stale" in str(error):
                    return False
                raise
            return True

        wait_for(clicked, what=f"a click on {path}")

    def write(self, name: str, text: str) -> None:
        self.see(f"//input[@name='{name}']").send_keys(text)

    def open_dag(self, dag_id: str) -> None:
        self.click("//nav//a[contains(., 'Dags')] | //a[@href='/dags']")
        self.click(f"//a[normalize-space()='{dag_id}']")
        self.see(f"//h2[contains(., '{dag_id}')]")

    def trigger(self, **params: str) -> None:
        """Trigger the DAG that is open, with the date that the form suggests."""
        self.click("//button[@data-testid='trigger-dag-button']")
        for name, text in params.items():
            self.write(f"element_{name}", text)
        self.click("//*[@role='dialog']//button[normalize-space()='Trigger']")
        # Airflow opens the new run.
        self.see("//h2[starts-with(normalize-space(), 'manual__')]")

    def open_runs(self, dag_id: str) -> None:
        """Reload the table of runs: the page first shows the states that it saw last."""
        self.open_dag(dag_id)
        self.click("//a[normalize-space()='Runs']")
        wait_for(lambda: self.browser.current_url.endswith("/runs"), what="the table of runs")
        self.browser.refresh()

    def end_of(self, run: str) -> str:
        """Return the state of a run in the table of runs, once it has ended."""
        row = f"//tr[.//a[{run}]]"
        return self.read(f"{row}//*[normalize-space()='Success' or normalize-space()='Failed']", seconds=LONGEST)


@pytest.fixture
def user(started: Started, browser: Browser) -> User:
    """A user who has clicked on the link, and on nothing else."""
    browser.get(started.login)
    user = User(browser, started.checkout)
    user.see("//*[contains(., 'Welcome')]")
    return user


def test_foreign_page_reads_nothing_of_airflow(started: Started, start_browser: StartBrowser) -> None:
    """Neither one of another origin, nor one whose own name was pointed at this machine after it was loaded."""
    browser = start_browser("--host-resolver-rules=MAP evil.test 127.0.0.1")

    browser.get(f"http://evil.test:{started.checkout.web_port}/auth/token")
    assert browser.find_element(By.TAG_NAME, "body").text == "Invalid host header"

    browser.get(f"http://localhost:{started.checkout.web_port}/api/v2/version")  # a page, of another origin
    answer = browser.execute_async_script(
        """
        const [url, done] = arguments;
        fetch(url, {credentials: "include"}).then(answer => answer.text()).then(done, error => done(String(error)));
        """,
        f"{started.checkout.url}/auth/token",
    )
    assert answer == "TypeError: Failed to fetch"


def test_user_who_has_not_logged_in_sees_the_login(started: Started, browser: Browser) -> None:
    browser.get(f"{started.checkout.url}/dags")

    wait_for(lambda: "/auth/login" in browser.current_url, what="the login page")
    token = browser.execute_async_script(
        "fetch('/auth/token').then(answer => answer.status).then(arguments[0], arguments[0])"
    )
    assert token in (401, 403)


def test_each_day_of_the_demo_has_a_run_of_its_name(started: Started, user: User) -> None:
    user.open_runs("flights_transform")

    states = {day: user.end_of(f"normalize-space()='dt=2013-01-0{day}'") for day in range(1, DAYS + 1)}

    assert states == {day: "Success" for day in range(1, DAYS + 1)}


def test_range_is_transformed_and_a_partition_is_cleared(started: Started, user: User) -> None:
    user.open_dag("flights_transform")
    user.trigger(**{"from": "2013-01-01", "to": "2013-01-02"})
    user.open_runs("flights_transform")
    assert user.end_of("starts-with(normalize-space(), 'manual__')") == "Success"

    user.click("//a[normalize-space()='dt=2013-01-02']")
    user.click("//button[contains(@aria-label, 'to clear')]")
    user.click("//*[@role='dialog']//button[normalize-space()='Confirm']")

    user.see("//td[normalize-space()='2'] | //*[normalize-space()='Running' or normalize-space()='Queued']")
    user.open_runs("flights_transform")
    assert user.end_of("normalize-space()='dt=2013-01-02'") == "Success"


def test_live_model_is_the_one_that_the_demo_deployed(started: Started, user: User) -> None:
    """The training is the demo's own, so no job is started; what the deployment has proven is live is its result."""
    user.open_dag("flights_train")
    user.trigger(**{"from": "2013-01-01", "to": f"2013-01-0{DAYS}"})
    user.open_runs("flights_train")
    assert user.end_of("starts-with(normalize-space(), 'manual__')") == "Success"

    user.click("//a[starts-with(normalize-space(), 'manual__')]")
    user.click("//td//a[normalize-space()='deploy']")
    user.click("//a[normalize-space()='Storage']")
    user.click("//a[normalize-space()='XCom']")
    user.click("//button[contains(@aria-label, 'xpand')]")

    live = started.cloud().client("sagemaker").describe_endpoint(EndpointName="flights-late")
    assert live["EndpointStatus"] == "InService"
    user.see(f"//td[contains(., '{live['EndpointConfigName']}')]")
