"""Open every page of the built site in headless Chromium, 1280 and 390 pixels wide.

    python -m pip install selenium axe-core-python
    python doc/check_pages.py build/site [PAGE ...] [--pictures FOLDER]

Lists errors and warnings of the console, files loaded from elsewhere, pages wider than
the window, images without an alternative text, links inside the site that lead nowhere,
and what axe-core finds (contrast, names of links and controls, ...). Then it
searches for a function. Chromium and chromedriver must be installed. Exits non-zero if
anything is found.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import axe_core_python
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
HEIGHT, MOST_HEIGHT = 900, 4000
WIDER = """
return [...document.querySelectorAll("article *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 2).map(e => e.outerHTML.slice(0, 80))
"""
# docutils marks references with a role that ARIA has withdrawn, and nothing replaces it
RUN_AXE = """
axe.run({exclude: [".citation-list"]}, {runOnly: ["wcag2a", "wcag2aa"]})
    .then(arguments[0])
"""
LINKS = "return [...document.links].map(a => a.href)"
IDS = "return [...document.querySelectorAll('[id]')].map(e => e.id)"
# a thumbnail of the gallery repeats the title of its link
NO_ALT = """
return [...document.images]
    .filter(i => !i.alt.trim() && !i.closest(".sphx-glr-thumbcontainer"))
    .map(i => i.src)
"""


class Quiet(SimpleHTTPRequestHandler):
    """Handler that prints nothing."""

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


def browser(width: int) -> webdriver.Chrome:
    """Start Chromium with a window of a width; below 500 pixels, as a telephone."""
    options = webdriver.ChromeOptions()
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        "hide-scrollbars",
        f"window-size={width},{HEIGHT}",
    ):
        options.add_argument(f"--{flag}")
    if width < 500:  # a window of Chromium is never narrower
        metrics = {"width": width, "height": HEIGHT, "pixelRatio": 1.0, "mobile": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    logs = {"browser": "ALL", "performance": "ALL"}
    options.set_capability("goog:loggingPrefs", logs)
    service = Service(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def faults_of_page(driver: webdriver.Chrome, base: str, page: str) -> Iterator[str]:
    """Open a page and yield what is wrong with it, links apart."""
    driver.get(base + page)
    for entry in driver.get_log("browser"):
        if entry["level"] in ("SEVERE", "WARNING"):
            yield f"console: {entry['message'][:200]}"
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith((base, "data:", "blob:", "chrome")):
                yield f"loads {url[:120]}"
    root = "document.documentElement."
    wider = driver.execute_script(f"return {root}scrollWidth - {root}clientWidth")
    if wider > 0:
        yield f"{wider} pixels wider than the window: {driver.execute_script(WIDER)}"
    for source in driver.execute_script(NO_ALT):
        yield f"image without alternative text: {source}"
    driver.execute_script(AXE)
    for violation in driver.execute_async_script(RUN_AXE)["violations"]:
        first = violation["nodes"][0]["html"][:120]
        yield f"{violation['id']}, {len(violation['nodes'])} times: {first}"


def picture(driver: webdriver.Chrome, width: int, path: Path) -> None:
    """Write a picture of the page, from the top to at most MOST_HEIGHT pixels."""
    height = driver.execute_script("return document.documentElement.scrollHeight")
    size = {"width": width, "height": min(height, MOST_HEIGHT)}
    size |= {"deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.save_screenshot(str(path))
    size["height"] = HEIGHT
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def faults_of_links(
    links: dict[str, list[str]], ids: dict[str, list[str]], base: str, site: Path
) -> Iterator[str]:
    """Yield links inside the site whose file or place on a page does not exist."""
    for page, targets in links.items():
        for target in sorted(set(targets)):
            path, place = urldefrag(target)
            if not path.startswith(base):
                continue
            name = unquote(path.removeprefix(base).partition("?")[0])
            if not (site / name).exists():
                yield f"{page}: link to {name}, which does not exist"
            elif place and name in ids and unquote(place) not in ids[name]:
                yield f"{page}: link to {name}#{place}, which the page does not have"


def faults_of_search(driver: webdriver.Chrome, base: str) -> Iterator[str]:
    """Search for a function, and yield what is wrong with the results."""
    driver.get(f"{base}search.html?q=alert_threshold")
    for _ in range(50):
        results = driver.execute_script(
            "return [...document.querySelectorAll('#search-results a')]"
            ".map(a => a.href)"
        )
        if any("alert_threshold" in result for result in results):
            return
        time.sleep(0.2)
    yield f"search for alert_threshold found {results[:5]}"


def main() -> None:
    """Open the pages and list what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path, help="folder of the built site")
    parser.add_argument("pages", nargs="*", help="pages; default: all")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of pages")
    arguments = parser.parse_args()
    site = arguments.site
    pages = arguments.pages or sorted(
        str(path.relative_to(site))
        for path in site.rglob("*.html")
        if "_static" not in path.parts and path != site / "index.html"
    )
    handler = functools.partial(Quiet, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    n_faults = 0
    links: dict[str, list[str]] = {}
    ids: dict[str, list[str]] = {}
    for width in (1280, 390):
        driver = browser(width)
        for page in pages:
            for fault in faults_of_page(driver, base, page):
                print(f"{width} {page}: {fault}", flush=True)
                n_faults += 1
            links[page] = driver.execute_script(LINKS)
            ids[page] = driver.execute_script(IDS)
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                name = page.removesuffix(".html").replace("/", "_")
                picture(driver, width, arguments.pictures / f"{name}_{width}.png")
        for fault in faults_of_search(driver, base):
            print(f"{width}: {fault}")
            n_faults += 1
        driver.quit()
    for fault in faults_of_links(links, ids, base, site):
        print(fault)
        n_faults += 1
    server.shutdown()
    print(f"{n_faults} faults on {len(pages)} pages")
    raise SystemExit(n_faults > 0)


if __name__ == "__main__":
    main()
