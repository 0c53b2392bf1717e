"""Screenshots of the offline page of the sample incident, at three widths, light and dark: ``make screenshots``.

All of them go to ``build/screenshots``; the two that stand in README.md go to ``docs`` too. Needs Chromium and
Playwright: ``apt install chromium``, ``pip install playwright``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import strataline

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_logs" / "assist_incident"
WIDTHS = {"phone": 360, "tablet": 820, "wide": 1280}
IN_README = ("wide-light", "phone-dark")


def main() -> int:
    """Write the screenshots; 1 where there is no browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium: apt install chromium", file=sys.stderr)
        return 1
    zones = {"app/uvicorn.log*": "America/New_York"}
    case = strataline.reconstruct(SAMPLE / "logs", formats=[SAMPLE / "formats"], zones=zones)
    examined = case.examine(case.affected('ui.feedback == "down"', chosen_by="on-call, retrieval"))
    out = ROOT / "build" / "screenshots"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "page.html"
        file.write_text(case.html(examined, title="Help assistant: answers marked down"), encoding="utf-8")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for size, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    viewport={"width": width, "height": 780 if width < 600 else 900},
                    color_scheme="dark" if scheme == "dark" else "light",
                    reduced_motion="reduce",
                )
                page.goto(file.as_uri())
                page.wait_for_selector("html[data-ready=yes]")
                name = f"{size}-{scheme}"
                page.screenshot(path=out / f"{name}-top.png")
                page.locator("#findings .finding .cite").first.click()
                if width < 600:
                    page.locator(".tools").evaluate("one => one.scrollIntoView()")
                page.mouse.move(1, 1)
                page.screenshot(path=out / f"{name}.png")
                if name in IN_README:
                    shutil.copyfile(out / f"{name}.png", ROOT / "docs" / f"page-{name}.png")
                page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
