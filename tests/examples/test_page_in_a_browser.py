"""Does a page show its error state when its API fails? Headless Chromium, driven by Selenium, behind real gateways.

Needs chromium and chromium-driver: `.ci/packages` installs them on Debian and Ubuntu.
"""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from badgateway.testing import Lab, MakeLab

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Shop</title>
<ul id="products"></ul><p id="state" role="status">Loading…</p>
<script>
  const state = document.getElementById("state");
  async function load() {
    try {
      const answer = await fetch("/api/products", {signal: AbortSignal.timeout(1000)});
      if (answer.status === 503) throw new Error("Busy. Try again in " + answer.headers.get("Retry-After") + " s.");
      if (!answer.ok) throw new Error("The shop has a problem.");
      for (const name of await answer.json()) {
        document.getElementById("products").append(Object.assign(document.createElement("li"), {textContent: name}));
      }
      state.textContent = "Ready";
    } catch (error) {
      state.textContent = error.name === "Error" ? error.message : "The shop cannot be reached.";
      state.setAttribute("role", "alert");
    }
  }
  load();
</script></html>
"""


class Shop(BaseHTTPRequestHandler):
    """The service behind the gateways: the page under test, and the API that it needs."""

    def do_GET(self) -> None:
        """Answer."""
        kind, text = ("application/json", '["Tea", "Cups"]') if self.path == "/api/products" else ("text/html", PAGE)
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """Where the shop listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def lab(shop: str, make_badgateway: MakeLab) -> Lab:
    """The gateways, with the shop behind them: as new for each test."""
    return make_badgateway(backend=shop, instances=1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Chromium without a window."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    assert driver and chromium, "chromium and chromedriver are needed: `sh .ci/packages` installs them"  # noqa: PT018
    options = ChromeOptions()
    options.binary_location = chromium
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(option)
    browser = Chrome(options, ChromeService(driver))
    yield browser
    browser.quit()


def state_of(page: Chrome) -> tuple[str, str]:
    """What the page says once it has stopped loading, and in which role."""
    state = page.find_element(By.ID, "state")
    WebDriverWait(page, 20, poll_frequency=0.05).until(lambda _: state.text != "Loading…")
    return state.text, str(state.get_attribute("role"))


pytestmark = pytest.mark.slow


def test_all_is_well(browser: Chrome, lab: Lab) -> None:
    browser.get(lab.url)
    assert state_of(browser) == ("Ready", "status")
    assert [item.text for item in browser.find_elements(By.TAG_NAME, "li")] == ["Tea", "Cups"]


def test_an_api_that_answers_nonsense_is_a_problem_of_the_shop(browser: Chrome, lab: Lab) -> None:
    lab.fault("app", "garbage", path="/api/*")
    browser.get(lab.url)
    assert state_of(browser) == ("The shop has a problem.", "alert")


def test_an_api_that_hangs_is_given_up(browser: Chrome, lab: Lab) -> None:
    lab.fault("app", "hang", path="/api/*")
    browser.get(lab.url)
    assert state_of(browser) == ("The shop cannot be reached.", "alert")
    assert any(exchange.client_gone for exchange in lab.exchanges(path="/api/products"))


def test_an_answer_that_is_cut_short_is_no_answer(browser: Chrome, lab: Lab) -> None:
    lab.fault("app", "truncate", path="/api/*")
    browser.get(lab.url)
    assert state_of(browser) == ("The shop cannot be reached.", "alert")


def test_a_breaker_that_is_open_says_when_to_come_back(browser: Chrome, lab: Lab) -> None:
    browser.get(lab.url)
    lab.hop("lb").patch(breaker={"enabled": True, "open_for": "30s"})
    lab.hop("lb").breaker("force_open")
    browser.execute_script("state.textContent = 'Loading…'; load()")
    assert state_of(browser) == ("Busy. Try again in 30 s.", "alert")
