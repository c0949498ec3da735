"""Open a page in a real browser: count figures, requests and errors, keep a screenshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHROMIUM = "/usr/bin/chromium"
FIGURES = """() => Bokeh.documents.flatMap((doc) => [...(doc._all_models?.values() ?? [])])
                     .filter((model) => model.type === "Figure").length"""
ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def open_page(path: Path, screenshot: Path) -> dict[str, Any]:
    """Open a local file; requests other than the file itself, console errors, Bokeh figures drawn."""
    from playwright.sync_api import sync_playwright

    requests: list[str] = []
    errors: list[str] = []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", lambda r: requests.append(r.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(path.resolve().as_uri())
        page.wait_for_timeout(3000)
        figures = page.evaluate(FIGURES)
        page.screenshot(path=str(screenshot), full_page=True)
        browser.close()
    outside = [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]
    return {"figures": figures, "requests": len(outside), "errors": errors}
