"""A headless Chromium on the built site, for test_browser.py: one visit to a page sees all."""

import functools
import http.server
import json
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from selenium import webdriver

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDE, NARROW = 1280, 400
# Chromium's own background connections are switched off: what is left was asked for by the page.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


@dataclass
class Visit:
    """What one visit to a page saw."""

    math: dict[str, int] = field(default_factory=dict)
    foreign_requests: list[str] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)
    script_errors: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)
    overflow: dict[int, list[str]] = field(default_factory=dict)


def find_chromium() -> tuple[str, str] | None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def pages() -> list[str]:
    """Addresses of the built pages below the site's root; the search page is one of them."""
    found = [p.relative_to(HTML).as_posix() for p in (HTML / "book").rglob("*.html")]
    return sorted(found) + (["search.html"] if found else [])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass


class Site:
    """The built site on a free port of this machine, with a browser that looks at it."""

    def __init__(self):
        handler = functools.partial(_Quiet, directory=str(HTML))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.profile = tempfile.mkdtemp(prefix="ibtutor-chromium-")
        self.driver = self._start()
        self.visits: dict[str, Visit] = {}

    def _start(self) -> webdriver.Chrome:
        browser, driver = find_chromium()
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in [*FLAGS, f"--user-data-dir={self.profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
        chrome.set_script_timeout(120)
        chrome.set_page_load_timeout(60)
        return chrome

    def close(self) -> None:
        self.driver.quit()
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def visit(self, page: str) -> Visit:
        """Look at a page once; later calls return what was seen."""
        if page not in self.visits:
            self.visits[page] = self._look(page)
        return self.visits[page]

    def resize(self, width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def set_theme(self, theme: str) -> None:
        self.driver.execute_script(
            "document.documentElement.dataset.theme = arguments[0];"
            "document.documentElement.dataset.mode = arguments[0];",
            theme,
        )

    def open(self, page: str) -> None:
        self.resize(WIDE)
        self.driver.get(self.address + page)
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "const math = window.MathJax?.startup?.promise ?? Promise.resolve();"
            "math.then(() => document.fonts.ready).then(() => done());"
        )
        # Colors that fade in are not the page's contrast.
        self.driver.execute_script(
            "const s = document.createElement('style');"
            "s.textContent = '*{transition:none!important;animation:none!important}';"
            "document.head.append(s);"
        )

    def _look(self, page: str) -> Visit:
        for kind in ("performance", "browser"):
            self.driver.get_log(kind)  # what is left from the page before
        self.open(page)
        seen = Visit(math=self.driver.execute_script(COUNT_MATH))
        self._open_folds()
        for width in (WIDE, NARROW):
            self.resize(width)
            time.sleep(0.1)
            seen.overflow[width] = self.driver.execute_script(FIND_OVERFLOW)
        self.resize(WIDE)
        self.driver.execute_script(AXE.read_text("utf8"))
        for theme in ("light", "dark"):
            self.set_theme(theme)
            what = {"type": "tag", "values": LEVELS}
            if theme == "dark":  # the same page in other colors
                what = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
            seen.violations[theme] = self.driver.execute_async_script(RUN_AXE, what)
        self._read_logs(seen)
        return seen

    def _open_folds(self) -> None:
        """What a reader can unfold is looked at too."""
        self.driver.execute_script(
            "document.querySelectorAll('details').forEach(d => d.open = true);"
            "document.querySelectorAll('.toggle-hidden').forEach("
            "  e => e.classList.remove('toggle-hidden'));"
        )

    def _read_logs(self, seen: Visit) -> None:
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            parameters = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if url.startswith(("http", "ws")) and not url.startswith(self.address):
                    seen.foreign_requests.append(url)
            elif message["method"] == "Network.responseReceived":
                response = parameters["response"]
                if response["status"] >= 400 and not response["url"].endswith("favicon.ico"):
                    seen.failed_requests.append(f"{response['status']} {response['url']}")
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE" and "favicon.ico" not in entry["message"]:
                seen.script_errors.append(entry["message"])


COUNT_MATH = """
const visible = [...document.querySelectorAll('mjx-container')].filter(
  e => e.querySelector('mjx-math') && (e.closest('details:not([open])')
    || e.closest('.toggle-hidden') || e.getBoundingClientRect().width > 0));
return {
  written: document.querySelectorAll('.math').length,
  rendered: visible.length,
  errors: document.querySelectorAll('mjx-merror, [data-mjx-error]').length,
  raw: document.querySelectorAll(".math:not(:has(mjx-container))").length,
};
"""

FIND_OVERFLOW = """
const root = document.documentElement;
const cut = [...document.querySelectorAll('mjx-math')].filter(
  e => e.getBoundingClientRect().left < -1);
if (cut.length) return cut.slice(0, 5).map(e => 'formula starts left of the page: ' +
  (e.closest('.math') ?? e).textContent.trim().slice(0, 80));
// A formula may run out of its column only inside something that scrolls.
const scrolls = e => {
  for (let a = e.parentElement; a && a.tagName !== 'MAIN'; a = a.parentElement) {
    if (['auto', 'scroll'].includes(getComputedStyle(a).overflowX)) return true;
  }
  return false;
};
const column = (document.querySelector('article') ?? root).getBoundingClientRect().right;
const lost = [...document.querySelectorAll('mjx-math')].filter(
  e => e.getBoundingClientRect().right > column + 1 && !scrolls(e));
if (lost.length) return lost.slice(0, 5).map(e => 'formula runs out of its column: ' +
  (e.closest('.math') ?? e).parentElement.textContent.trim().slice(0, 100));
if (root.scrollWidth <= root.clientWidth) return [];
const wide = [...document.querySelectorAll('main *')].filter(
  e => e.getBoundingClientRect().right > root.clientWidth + 1);
return [`page ${root.scrollWidth} > ${root.clientWidth}`].concat(
  wide.slice(0, 5).map(e => e.outerHTML.slice(0, 120)));
"""

RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0], resultTypes: ['violations']}).then(
  result => done(result.violations.flatMap(v => v.nodes.map(n =>
    `${v.id}: ${n.target.join(' ')}: ${n.failureSummary.split('\\n').pop().trim()}`))),
  error => done([`axe failed: ${error}`]));
"""
