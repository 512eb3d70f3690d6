"""The page of examples/serve in headless Chromium, where it is installed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from gru4rec_fast import GRU4Rec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.examples.conftest import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.xdist_group("serve"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in containers, Chromium has no sandbox; the page is our own.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def opened(browser: Browser, server: Server, **options: Any) -> tuple[Page, list[str]]:
    """The page after its first ranking, and what goes wrong in it from then on."""
    page, wrong = browser.new_page(**options), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: wrong.append(asked.url) if outside(asked.url) else None)

    def outside(url: str) -> bool:
        return not url.startswith((f"http://127.0.0.1:{server.port}/", "data:,"))

    page.goto(f"http://127.0.0.1:{server.port}/")
    page.locator("#ranking button").first.wait_for()
    return page, wrong


def ranked(page: Page) -> list[str]:
    return page.locator("#ranking button span:nth-child(2)").all_inner_texts()


def seen(page: Page, n: int) -> list[str]:
    """The session's items, once there are n."""
    page.locator(f"#history li:nth-child({n})").wait_for()
    return page.locator("#history li").all_inner_texts()


def test_the_keyboard_alone_moves_the_ranking(browser: Browser, server: Server) -> None:
    live = GRU4Rec.loadmodel(server.model, device="cpu").live()
    page, wrong = opened(browser, server)
    popular = live.recommend(["x"], 10).ids[0].tolist()
    assert ranked(page) == list(map(str, popular))
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#ranking') !== null"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert seen(page, 1) == [str(popular[1])]
    second = live.step(["x"], [popular[1]], 10).ids[0].tolist()
    page.get_by_text(f"After item {popular[1]}: the first is item {second[0]}.").wait_for()
    assert ranked(page) == list(map(str, second))
    label = page.evaluate("document.activeElement.ariaLabel")  # the same place keeps the focus
    assert label.startswith(f"Item {second[1]}, rank 2, score ")
    page.keyboard.press("Enter")
    assert seen(page, 2) == [str(popular[1]), str(second[1])]
    page.reload()
    assert seen(page, 2) == [str(popular[1]), str(second[1])]
    assert wrong == []
    page.close()


def test_its_controls_have_labels_and_work(browser: Browser, server: Server) -> None:
    ids = GRU4Rec.loadmodel(server.model, device="cpu").data_iterator.itemidmap.index.tolist()
    page, wrong = opened(browser, server)
    page.get_by_label("Item id").fill(str(ids[6]))
    page.get_by_role("button", name="Add").click()
    assert seen(page, 1) == [str(ids[6])]
    page.get_by_label("Show").select_option("20")
    page.locator("#ranking li:nth-child(20)").wait_for()
    page.get_by_label("Item id").fill("12345678")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(has_text="The model does not know item 12345678.")
    alert.wait_for()
    assert seen(page, 1) == [str(ids[6])]
    page.get_by_label("Leave out items of this session").check()
    page.locator(f'#ranking li[data-id="{ids[6]}"]').wait_for(state="detached")
    page.get_by_role("button", name="Start a new session").click()
    page.get_by_text("No known item yet").wait_for()
    assert page.locator("#history li").count() == 0
    unlabelled = page.locator("button, input, select").evaluate_all(
        "all => all.filter((e) => !(e.ariaLabel || e.innerText.trim() || e.labels?.length)).length"
    )
    assert unlabelled == 0
    assert wrong == []
    page.close()


def test_it_fits_a_narrow_screen_in_the_dark(browser: Browser, server: Server) -> None:
    size = {"width": 320, "height": 640}
    page, wrong = opened(browser, server, viewport=size, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    colours = page.evaluate("(({backgroundColor, color}) => [backgroundColor, color])"
                            "(getComputedStyle(document.body))")  # fmt: skip
    background, text = (sum(map(int, c[4:-1].split(","))) for c in colours)
    assert background < 150 < 600 < text
    assert wrong == []
    page.close()
