"""A headless Chromium on the built site, for test_browser.py: one visit to a page sees all."""

import base64
import contextlib
import functools
import gzip
import http.server
import io
import json
import mimetypes
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from matplotlib import pyplot as plt
from selenium import webdriver

from tools.browser_scripts import (
    COUNT_MATH,
    CUT_ON_PAPER,
    EMPTY_FORMULAS,
    FIND_OVERFLOW,
    FIND_PICTURES,
    FIRST_PAINT,
    FIRST_PICTURE,
    FOLDS,
    OPEN_A_SOLUTION,
    RUN_AXE,
    TWO_FRAMES,
    WATCH_PICTURE,
    WATCH_SHIFTS,
)

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"
WIDE, PHONE = 1280, 390
WIDTHS = [320, PHONE, WIDE, 2560]
PAPER = 718  # A4 within Chromium's margins, in pixels
SLOW_4G = {"latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
FULL_SPEED = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
GZIP = b"\x1f\x8b"
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
    pictures: dict[int, list[dict]] = field(default_factory=dict)
    paper: dict = field(default_factory=dict)


def find_chromium() -> tuple[str, str] | None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def pages() -> list[str]:
    """Addresses of the built pages below the site's root; the search page is one of them."""
    found = [p.relative_to(HTML).as_posix() for p in (HTML / "book").rglob("*.html")]
    return sorted(found) + (["search.html"] if found else [])


class _Handler(http.server.BaseHTTPRequestHandler):
    """Files as GitHub Pages serves them: text compressed, `404.html` for what is not there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, below = unquote(urlsplit(self.path).path), self.server.prefix
        name = path.removeprefix(below) if path.startswith(below) else "outside of the site"
        kind, body = _file(name or "index.html")
        self.send_response(200 if body is not None else 404)
        if body is None:
            kind, body = _file("404.html")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if body[:2] == GZIP:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


@functools.cache
def _file(name: str) -> tuple[str, bytes | None]:
    path = HTML / name
    if not path.is_file() or not path.resolve().is_relative_to(HTML.resolve()):
        return "", None
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind.endswith(("javascript", "json", "xml"))
    return kind, gzip.compress(path.read_bytes()) if text else path.read_bytes()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class Site:
    """The built site on a free port of this machine, with a browser that looks at it.

    `prefix` is the path below which it lies, as `/a/b/`.
    """

    def __init__(self, prefix: str = "/"):
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.prefix = prefix
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}{prefix}"
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
        """Load a page anew and wait for its formulas."""
        self.resize(WIDE)
        self.driver.get("about:blank")  # else another section of the same page is no new load
        self.driver.get(self.address + page)
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "const math = window.MathJax?.startup?.promise ?? Promise.resolve();"
            "math.then(() => document.fonts.ready).then(() => setTimeout(done));"
        )
        # Colors that fade in are not the page's contrast, and no shot waits for a scroll to end.
        self.driver.execute_script(
            "const s = document.createElement('style');"
            "s.textContent = '*{transition:none!important;animation:none!important;"
            "scroll-behavior:auto!important}';"
            "document.head.append(s);"
        )

    def _look(self, page: str) -> Visit:
        for kind in ("performance", "browser"):
            self.driver.get_log(kind)  # what is left from the page before
        self.open(page)
        seen = Visit(math=self.driver.execute_script(COUNT_MATH))
        seen.paper = self._print()
        self._fold(opened=True)
        for width in WIDTHS:
            self.resize(width)
            self.driver.execute_async_script(TWO_FRAMES)
            seen.overflow[width] = self.driver.execute_script(FIND_OVERFLOW)
            seen.pictures[width] = self.driver.execute_script(FIND_PICTURES)
        self.resize(WIDE)
        self._run_axe(seen)
        self._read_logs(seen)
        return seen

    def _run_axe(self, seen: Visit) -> None:
        """All rules of axe, those of good practice too. Comes last: it empties the formulas."""
        self.driver.execute_script(AXE.read_text("utf8"))
        self.driver.execute_script(EMPTY_FORMULAS)
        for folds in ("closed", "open"):
            self._fold(opened=folds == "open")
            for theme in ("light", "dark"):
                self.set_theme(theme)
                found = self.driver.execute_async_script(RUN_AXE)
                seen.violations[f"{theme}, {folds}"] = found

    @contextlib.contextmanager
    def network(self, conditions: dict):
        """Load from here on with an empty cache, at the speed of a network."""
        self.driver.get("about:blank")
        self.command("Network.enable")
        self.command("Network.setCacheDisabled", cacheDisabled=True)
        self.command("Network.emulateNetworkConditions", offline=False, **conditions)
        try:
            yield
        finally:
            self.command("Network.emulateNetworkConditions", offline=False, **FULL_SPEED)
            self.command("Network.setCacheDisabled", cacheDisabled=False)

    def weight(self, page: str) -> dict[str, int]:
        """Bytes that a first visit sends, compressed as hosts do, by kind: Document, Font, …"""
        self.driver.get_log("performance")
        with self.network(FULL_SPEED):
            self.open(page)
            kinds, sent = {}, {}
            for entry in self.driver.get_log("performance"):
                message = json.loads(entry["message"])["message"]
                found = message["params"]
                if message["method"] == "Network.responseReceived":
                    if found["response"]["url"].startswith(self.address):
                        kinds[found["requestId"]] = found["type"]
                elif message["method"] == "Network.loadingFinished":
                    kind = kinds.get(found["requestId"], "the browser's own start page")
                    sent[kind] = sent.get(kind, 0) + int(found["encodedDataLength"])
        return {kind: size for kind, size in sent.items() if kind in kinds.values()}

    def first_picture(self, page: str) -> float:
        """Seconds on slow 4G until the first picture stands there whole; infinite if none does."""
        script = self.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_PICTURE)
        try:
            with self.network(SLOW_4G):
                self.driver.get(self.address + page)
                found = self.driver.execute_async_script(FIRST_PICTURE)
                return found / 1000 if found else float("inf")
        finally:
            self.command("Page.removeScriptToEvaluateOnNewDocument", **script)

    def first_paint(self, page: str) -> float:
        """Seconds to the first text or picture on slow 4G: 150 ms, 1.6 Mbit/s, compressed text."""
        with self.network(SLOW_4G):
            self.driver.get(self.address + page)
            return self.driver.execute_script(FIRST_PAINT) / 1000

    def shift(self, page: str) -> float:
        """How much of the window jumped while the page came, as browsers score it (0.1 is good).

        Without formulas: they take the place of their LaTeX, which has another size.
        """
        script = self.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH_SHIFTS)
        try:
            with self.network(FULL_SPEED):
                self.command("Network.setBlockedURLs", urls=["*mathjax*"])
                self.open(page)
                self.driver.execute_async_script(TWO_FRAMES)
                return self.driver.execute_script("return window.ibShift")
        finally:
            self.command("Network.setBlockedURLs", urls=[])
            self.command("Page.removeScriptToEvaluateOnNewDocument", **script)

    @contextlib.contextmanager
    def no_javascript(self):
        self.command("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self.command("Emulation.setScriptExecutionDisabled", value=False)

    @contextlib.contextmanager
    def on_paper(self):
        """The page as the printer gets it: style, width, and the event before printing."""
        self.resize(PAPER)
        self.command("Emulation.setEmulatedMedia", media="print")
        self.driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
        try:
            yield
        finally:
            self.driver.execute_script("window.dispatchEvent(new Event('afterprint'))")
            self.command("Emulation.setEmulatedMedia", media="")

    def _print(self) -> dict:
        """What is on paper when a reader in the dark has opened one solution; the folds after."""
        self.driver.execute_script(OPEN_A_SOLUTION)
        self.set_theme("dark")
        before = self.driver.execute_script(FOLDS)
        with self.on_paper():
            seen = self.driver.execute_script(CUT_ON_PAPER)
            seen["folds"] = self.driver.execute_script(FOLDS)
        self.resize(WIDE)
        theme = "return document.documentElement.dataset.theme"
        seen["theme after"] = self.driver.execute_script(theme)
        return {**seen, "before": before, "after": self.driver.execute_script(FOLDS)}

    def command(self, name: str, **parameters) -> dict:
        return self.driver.execute_cdp_cmd(name, parameters)

    def tab(self) -> None:
        """Press the Tab key."""
        key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        self.command("Input.dispatchKeyEvent", type="keyDown", **key)
        self.command("Input.dispatchKeyEvent", type="keyUp", **key)

    def pixels(self, box: dict) -> np.ndarray:
        """What the window shows in a box."""
        png = self.command("Page.captureScreenshot", format="png")
        window = plt.imread(io.BytesIO(base64.b64decode(png["data"])))[..., :3]
        left, top = max(int(box["x"]), 0), max(int(box["y"]), 0)
        return window[top : int(box["y"] + box["height"]), left : int(box["x"] + box["width"])]

    def _fold(self, *, opened: bool) -> None:
        """What a reader can unfold is looked at too."""
        self.driver.execute_script(
            "document.querySelectorAll('details').forEach(d => d.open = arguments[0]);"
            "document.querySelectorAll('.admonition.toggle').forEach("
            "  e => e.classList.toggle('toggle-hidden', !arguments[0]));",
            opened,
        )

    def problems(self) -> list[str]:
        """What went wrong since the logs were read last: requests and scripts."""
        seen = Visit()
        self._read_logs(seen)
        return [*seen.foreign_requests, *seen.failed_requests, *seen.script_errors]

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
                if response["status"] >= 400:
                    seen.failed_requests.append(f"{response['status']} {response['url']}")
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE":
                seen.script_errors.append(entry["message"])
