"""What a web page that the developer opens can do with the embedded cloud: nothing."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from tests.browser.conftest import Browser, StartBrowser
from tests.conftest import Cloud

from localcloud.testing.waiting import wait_for

pytestmark = pytest.mark.browser

# Sends one request and reports what the page can see of the answer.
_FETCH = """
const [url, options, done] = arguments;
fetch(url, options)
  .then(async answer => done({type: answer.type, status: answer.status, body: await answer.text()}))
  .catch(error => done({type: "error", status: 0, body: String(error)}));
"""
_OF_SQS = {"X-Amz-Target": "AmazonSQS.CreateQueue", "Content-Type": "application/x-amz-json-1.0"}


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>a page</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def a_page() -> Iterator[int]:
    """The port of a web server on loopback with one page."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def misled(start_browser: StartBrowser) -> Browser:
    """A browser whose DNS points ``evil.test`` at this machine."""
    return start_browser("--host-resolver-rules=MAP evil.test 127.0.0.1")


def fetch(browser: Browser, url: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = browser.execute_async_script(_FETCH, url, options)
    return answer


def names_of_queues(cloud: Cloud) -> set[str]:
    return {url.rpartition("/")[2] for url in cloud.client("sqs").list_queues().get("QueueUrls", [])}


def names_of_buckets(cloud: Cloud) -> set[str]:
    return {bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]}


@pytest.mark.parametrize("site", ["evil.test", "localhost", "127.0.0.1"])
def test_page_of_another_origin_neither_changes_nor_reads_anything(cloud: Cloud, misled: Browser, site: str) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="secret", Body=b"secret")
    queues, buckets = names_of_queues(cloud), names_of_buckets(cloud)
    url = cloud.endpoint_url
    with a_page() as port:
        misled.get(f"http://{site}:{port}/")
        seen = [
            fetch(misled, f"{url}/lake/secret"),
            fetch(misled, f"{url}/lake/secret", mode="no-cors"),
            fetch(misled, f"{url}/by-a-page", method="PUT"),
            fetch(misled, f"{url}/?Action=CreateQueue&QueueName=by-get", mode="no-cors"),
            fetch(misled, f"{url}/", method="POST", mode="no-cors", body="Action=CreateQueue&QueueName=by-post"),
            fetch(misled, f"{url}/", method="POST", headers=_OF_SQS, body='{"QueueName": "by-json"}'),
            fetch(misled, f"{url}/_ministack/reset", method="POST", mode="no-cors"),
            fetch(misled, cloud.sagemaker_endpoint_url, method="POST", mode="no-cors", body="{}"),
            fetch(misled, f"{cloud.sagemaker_endpoint_url}/ping"),
        ]
        open_image(misled, f"{url}/?Action=CreateQueue&QueueName=by-image")
        submit_form(misled, url, Action="CreateQueue", QueueName="by-form")

    assert {answer["type"] for answer in seen} <= {"error", "opaque"}
    assert not any(answer["body"] for answer in seen if answer["type"] == "opaque")
    assert (names_of_queues(cloud), names_of_buckets(cloud)) == (queues, buckets)
    assert s3.get_object(Bucket="lake", Key="secret")["Body"].read() == b"secret"


def test_page_whose_name_was_pointed_at_loopback_reads_nothing(cloud: Cloud, misled: Browser) -> None:
    """DNS rebinding: for the browser, the page and the service are of one origin."""
    buckets, queues = names_of_buckets(cloud), names_of_queues(cloud)
    for url in (cloud.endpoint_url, cloud.sagemaker_endpoint_url):
        here = url.replace("127.0.0.1", "evil.test")
        misled.get(here)
        seen = [
            fetch(misled, "/"),
            fetch(misled, "/by-a-page", method="PUT"),
            fetch(misled, "/", method="POST", headers=_OF_SQS, body='{"QueueName": "by-json"}'),
            fetch(misled, "/", method="POST", body="Action=CreateQueue&QueueName=by-post"),
        ]
        assert [(answer["type"], answer["status"]) for answer in seen] == [("basic", 403)] * len(seen)
        assert "has to be 127.0.0.1" in seen[0]["body"]
    assert (names_of_buckets(cloud), names_of_queues(cloud)) == (buckets, queues)


def test_address_that_the_user_types_is_answered(cloud: Cloud, browser: Browser) -> None:
    browser.get(f"{cloud.endpoint_url}/_ministack/health")
    assert '"s3": "available"' in browser.find_element(By.TAG_NAME, "body").text


def open_image(browser: Browser, url: str) -> None:
    browser.execute_async_script(
        """
        const [url, done] = arguments, image = new Image();
        image.onload = image.onerror = () => done();
        image.src = url;
        """,
        url,
    )


def submit_form(browser: Browser, url: str, **fields: str) -> None:
    browser.execute_script(
        """
        const [url, fields] = arguments, form = document.createElement("form");
        Object.assign(form, {method: "POST", action: url});
        for (const [name, value] of Object.entries(fields))
          form.append(Object.assign(document.createElement("input"), {name, value}));
        document.body.append(form);
        setTimeout(() => form.submit());
        """,
        url,
        fields,
    )
    wait_for(lambda: browser.current_url.startswith(url), what="the answer to the form")
