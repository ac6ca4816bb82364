"""The chat page in a real browser, in both languages."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Route, async_playwright, expect

from tests.externals import find_chromium
from tests.stack import RunningStack

WAIT_MS = 30_000

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser, stack: RunningStack) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 900, "height": 940}, locale="zh-CN")
    page = await context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("console", lambda message: mistakes.append(message.text) if is_mistake(message) else None)
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    await page.goto(stack.url)
    yield page
    assert mistakes == []
    await context.close()


def is_mistake(message: ConsoleMessage) -> bool:
    # A lost connection is reported by the browser itself, and one test loses it on purpose.
    return message.type == "error" and not message.text.startswith("Failed to load resource")


async def say(page: Page, text: str) -> str:
    """Types and sends; the text of the last reply."""
    before = await page.locator(".message.assistant:not(.typing)").count()
    await page.locator("#text").fill(text)
    await page.locator("#text").press("Enter")
    await expect(page.locator(".message.assistant:not(.typing)").nth(before)).to_be_visible()
    await expect(page.locator(".typing")).to_have_count(0)
    return await page.locator(".message.assistant .bubble").last.inner_text()


async def the_last_words_can_be_read(page: Page) -> None:
    """They have scrolled into view, above the field to type in, and nothing is wider than the window."""
    last = page.locator(".message.assistant .bubble").last
    await expect(last).to_be_in_viewport(ratio=1)
    words, field = await last.bounding_box(), await page.locator("#text").bounding_box()
    assert words is not None
    assert field is not None
    assert words["y"] + words["height"] <= field["y"]
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_a_customer_chats_in_chinese_and_in_english(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    await expect(page.locator(".message.assistant").first).to_be_visible()
    await say(page, "我的快递到哪了？")
    assert "SF1234567890" in await say(page, "20261103001")
    await say(page, "我要退款")
    await say(page, "20261103005")
    assert "259" in await say(page, "背带断了，质量不好")
    await the_last_words_can_be_read(page)

    await page.locator("#language").click()
    await expect(page.locator("h1")).to_have_text("Zhiyin customer service")
    await page.locator("#fresh").click()
    await expect(page.locator(".message")).to_have_count(1)
    assert "SF1234567890" in await say(page, "where is my order 20261103001?")
    reply = await say(page, "what will the weather be tomorrow?")
    assert "sorry" in reply.lower() or "can't" in reply.lower()
    option = page.locator(".options button").first
    title = await option.inner_text()
    await option.click()
    await expect(page.locator(".message.customer .bubble").last).to_have_text(title)
    await expect(page.locator(".typing")).to_have_count(0)
    await the_last_words_can_be_read(page)


async def test_a_conversation_is_still_there_after_a_reload_and_what_is_typed_is_only_text(page: Page) -> None:
    await say(page, "<img src=x onerror=alert(1)> 你好")
    bubbles = page.locator(".message .bubble")
    before = await bubbles.all_inner_texts()
    assert any("<img src=x" in text for text in before)
    await page.reload()
    await expect(bubbles).to_have_count(len(before))
    assert await bubbles.all_inner_texts() == before
    assert await page.locator("main img").count() == 0


async def test_what_is_said_before_the_conversation_is_open_is_said_in_it(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    may_open = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_open.wait()
        await route.continue_()

    await page.route("**/v1/conversations", hold)
    await page.locator("#fresh").click()
    await page.locator("#text").fill("订单 20261103001 到哪了")
    await page.locator("#text").press("Enter")
    await expect(page.locator(".message.unsent")).to_have_count(1)
    may_open.set()
    bubbles = page.locator(".message:not(.typing) .bubble")
    await expect(bubbles).to_have_count(3)
    _, said, answered = await bubbles.all_inner_texts()
    assert said == "订单 20261103001 到哪了"
    assert "SF1234567890" in answered
    await expect(page.locator(".typing")).to_have_count(0)
    await expect(page.locator(".message.unsent")).to_have_count(0)


async def test_what_is_sent_again_goes_to_the_conversation_in_which_it_was_said(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    tried: asyncio.Queue[str] = asyncio.Queue()

    async def cut(route: Route) -> None:
        tried.put_nowait(route.request.url)
        if tried.qsize() == 1:
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/messages", cut)
    async with (
        page.expect_response("**/messages") as answered,
        page.expect_response(lambda each: each.request.method == "POST" and each.url.endswith("/v1/conversations")),
    ):
        await page.locator("#text").fill("你好")
        await page.locator("#text").press("Enter")
        await expect(page.locator(".message.unsent")).to_have_count(1)
        await page.locator("#fresh").click()
    assert (await answered.value).url == tried.get_nowait()
    await expect(page.locator(".message.customer")).to_have_count(0)


async def test_a_customer_logs_in_and_out(page: Page, stack: RunningStack) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    await page.locator("#who").click()
    await page.locator("input[name=username]").fill("hanmeimei")
    await page.locator("input[name=password]").fill(stack.bootstrap.password("hanmeimei"))
    await page.locator("#login-form button[type=submit]").click()
    await expect(page.locator("#who")).to_contain_text("hanmeimei")
    await expect(page.locator(".message.assistant").first).to_be_visible()
    assert "459" in await say(page, "我买了什么")
    await page.locator("#who").click()
    await expect(page.locator("#who")).to_have_text("登录")


async def test_the_stream_resumes_when_the_connection_was_lost(page: Page, stack: RunningStack) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    await stack.kill("dialogue")
    await expect(page.locator("#status")).to_have_class("status away")
    await page.locator("#text").fill("你好")
    await page.locator("#text").press("Enter")
    await stack.start("dialogue")
    await expect(page.locator("#status")).to_have_text("在线")
    await expect(page.locator(".message.customer")).to_have_count(1)
    await expect(page.locator(".message.assistant:not(.typing)").nth(1)).to_be_visible()
    await expect(page.locator(".message.unsent")).to_have_count(0)
