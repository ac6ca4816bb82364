"""The chat page in a real browser, in both languages."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Route, async_playwright, expect

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
    await expect(page.locator("h1")).to_have_text("Zhiyin shop assistant")
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


async def test_two_windows_share_one_session(page: Page, stack: RunningStack) -> None:
    """The one that comes later with a used refresh token takes what the other got, and nobody becomes a guest again."""
    await say(page, "你好")
    other = await page.context.new_page()
    await other.goto(stack.url)
    await expect(other.locator(".message.customer")).to_have_count(1)
    expired = """() => {
        const session = JSON.parse(localStorage.getItem("zhiyin.session"));
        localStorage.setItem("zhiyin.session", JSON.stringify({ ...session, expires: 0 }));
    }"""
    guests: list[str] = []
    renewed: list[str] = []

    def note(made: Request) -> None:
        if made.method == "POST" and made.url.endswith(("/guest", "/refresh", "/visits")):
            (renewed if "refresh_token" in (made.post_data or "") else guests).append(made.url)

    for each in (page, other):
        each.on("request", note)
    for each in (page, other, page):
        await each.evaluate(expired)
        await each.evaluate("dispatchEvent(new StorageEvent('storage', { key: 'zhiyin.session' }))")
        await say(each, "你好")
    await expect(page.locator(".message.customer")).to_have_count(4)
    await expect(other.locator(".message.customer")).to_have_count(4)
    assert guests == []
    assert renewed
    await other.close()


async def test_a_log_in_in_one_window_is_one_in_all(page: Page, stack: RunningStack) -> None:
    await say(page, "你好")
    other = await page.context.new_page()
    await other.goto(stack.url)
    await expect(other.locator(".message.customer")).to_have_count(1)
    await other.locator("#who").click()
    await other.locator("input[name=username]").fill("hanmeimei")
    await other.locator("input[name=password]").fill(stack.bootstrap.password("hanmeimei"))
    await other.locator("#login-form button[type=submit]").click()
    await expect(other.locator("#who")).to_contain_text("hanmeimei")
    await expect(page.locator("#who")).to_contain_text("hanmeimei")
    await expect(page.locator(".message.customer")).to_have_count(0)
    await other.close()


async def test_enter_that_ends_a_composition_sends_nothing(page: Page) -> None:
    """Safari tells the end of the composition before the key, which only its code 229 gives away."""
    await page.locator("#text").fill("nihao")
    await page.evaluate(
        """() => document.getElementById("text").dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }))"""
    )
    await expect(page.locator("#text")).to_have_value("nihao")
    await expect(page.locator(".message.customer")).to_have_count(0)
    await page.locator("#text").press("Enter")
    await expect(page.locator(".message.customer")).to_have_count(1)


async def test_replies_come_where_streams_are_kept_back(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.abort()

    await page.route("**/stream?*", hold)
    await page.locator("#fresh").click()
    await page.locator("#text").fill("订单 20261103001 到哪了")
    await page.locator("#text").press("Enter")
    reply = page.locator(".message.assistant .bubble", has_text="SF1234567890")
    await expect(reply).to_have_count(1)
    # The greeting, which no request was answered with, comes by asking for it, and comes first.
    await expect(page.locator(".message:not(.typing)")).to_have_count(3)
    await expect(page.locator(".message").first).to_have_class("message assistant")
    await expect(page.locator("#status")).to_have_text("在线")
    await expect(page.locator(".message.unsent")).to_have_count(0)
    held.set()


async def test_what_is_said_offline_is_sent_when_the_network_is_back(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    await page.context.set_offline(True)
    await expect(page.locator("#status")).to_have_attribute("data-state", "offline")
    await expect(page.locator("#status")).to_have_class("status away")
    await page.locator("#text").fill("你好")
    await page.locator("#text").press("Enter")
    retry = page.locator(".message.failed button.retry")
    await expect(retry).to_have_text("未送达，点此重试")
    await page.context.set_offline(False)
    await expect(page.locator("#status")).to_have_text("在线")
    await expect(retry).to_have_count(0)
    await expect(page.locator(".message.customer")).to_have_count(1)
    await expect(page.locator(".message.assistant:not(.typing)").nth(1)).to_be_visible()


async def test_what_the_server_refuses_is_offered_again_and_not_repeated(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    sent: list[str] = []

    async def refuse(route: Route) -> None:
        sent.append(route.request.url)
        await route.fulfill(status=422, content_type="application/problem+json", body='{"detail": "no"}')

    await page.route("**/messages", refuse)
    await page.locator("#text").fill("你好")
    await page.locator("#text").press("Enter")
    retry = page.locator(".message.failed button.retry")
    await expect(retry).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.locator("#status")).to_have_attribute("data-state", "offline")
    await page.context.set_offline(False)
    await expect(page.locator("#status")).to_have_text("在线")
    assert len(sent) == 1
    await page.unroute("**/messages")
    await retry.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.failed")).to_have_count(0)
    await expect(page.locator(".message.assistant:not(.typing)").nth(1)).to_be_visible()


async def an_event_comes(page: Page, **event: object) -> None:
    """The page gets an event that no turn of this test gave."""
    told = {
        "kind": "reply",
        "in_reply_to": None,
        "options": [],
        "data": {},
        "created_at": "2026-11-30T09:00:00Z",
        **event,
    }
    await page.evaluate("async (event) => (await import('./static/chat.js')).showEvent(event)", told)


async def test_a_question_stays_open_until_it_is_answered_and_the_focus_is_kept(page: Page) -> None:
    await say(page, "我要退款")
    options = page.locator(".options button")
    await expect(options.first).to_be_visible()
    asked = await options.all_inner_texts()
    await an_event_comes(page, seq=1000, sender="assistant", text="您的上一单已退款")
    assert await options.all_inner_texts() == asked
    await options.first.click()
    await expect(page.locator(".message.customer .bubble").last).to_have_text(asked[0])
    await expect(page.locator(".options button", has_text=asked[0])).to_have_count(0)
    assert await page.evaluate("document.activeElement.id") == "text"


async def test_a_person_who_writes_ends_the_assistants_question(page: Page) -> None:
    await say(page, "我要退款")
    await expect(page.locator(".options button").first).to_be_visible()
    await an_event_comes(page, seq=1000, sender="agent", text="您好，我来帮您")
    await expect(page.locator(".options")).to_have_count(0)


async def test_who_reads_further_up_is_not_taken_away_from_there(page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 480})
    for _ in range(3):
        await say(page, "我有哪些订单")
    log, more = page.locator("#log"), page.locator("#more")
    await expect(more).to_be_hidden()
    await log.evaluate("node => { node.scrollTop = 0; }")
    await an_event_comes(page, seq=1000, sender="agent", text="您好")
    await expect(more).to_be_visible()
    assert await log.evaluate("node => node.scrollTop") == 0
    await more.click()
    await expect(more).to_be_hidden()
    await expect(page.locator(".message.agent").last).to_be_in_viewport()


async def test_a_phone_has_everything(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 640})
    await say(page, "你好")
    for button in ("#who", "#fresh", "#language", "#send"):
        await expect(page.locator(button)).to_be_in_viewport(ratio=1)
    assert await page.evaluate("getComputedStyle(document.getElementById('text')).fontSize") == "16px"
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_before_the_script_runs_the_page_says_what_it_is(browser: Browser, stack: RunningStack) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(stack.url)
    assert "请启用 JavaScript" in await page.content()
    await expect(page.locator("#status")).to_have_class("status away")
    for button in await page.locator("header button").all():
        assert await button.inner_text()
    await context.close()


async def test_the_page_lives_below_a_path(page: Page, stack: RunningStack) -> None:
    await stack.kill("dialogue")
    await stack.start("dialogue", extra={"ZHIYIN_ROOT_PATH": "/help/chat"})
    await page.goto(f"{stack.url}/help/chat")
    assert page.url == f"{stack.url.rstrip('/')}/help/chat/"
    outside: list[str] = []
    page.on("request", lambda made: outside.append(made.url) if "/help/chat" not in made.url else None)
    await page.reload()
    await say(page, "你好")
    assert outside == []


class Rounds:
    """Lets the page have answers only in rounds: everything it asks for waits until the test lets it go."""

    def __init__(self) -> None:
        self.waiting: dict[str, Route] = {}
        self._changed = asyncio.Event()

    async def hold(self, route: Route) -> None:
        self.waiting[f"{route.request.method} {urlsplit(route.request.url).path}"] = route
        self._changed.set()

    async def release(self, *expected: str) -> None:
        """One round trip: waits until all of these are asked for, and answers them and nothing else."""
        async with asyncio.timeout(WAIT_MS / 1000):
            while not set(expected) <= set(self.waiting):
                self._changed.clear()
                await self._changed.wait()
        for each in expected:
            await self.waiting.pop(each).continue_()


SCRIPTS = [f"GET /static/{name}" for name in ("chat.css", "chat.js", "client.js", "texts.js")]


@pytest.fixture
async def rounds(page: Page) -> AsyncIterator[Rounds]:
    """The page was here before; its next load gets what it asks for round by round."""
    await expect(page.locator(".message.assistant:not(.typing)")).to_have_count(1)
    await page.goto("about:blank")
    rounds = Rounds()
    await page.route("**/*", rounds.hold)
    yield rounds
    await page.unroute_all(behavior="ignoreErrors")


async def the_page_loads(page: Page, stack: RunningStack, rounds: Rounds) -> None:
    """The first two round trips."""
    loading = asyncio.create_task(page.goto(stack.url, wait_until="domcontentloaded"))
    await rounds.release("GET /")
    await rounds.release(*SCRIPTS)
    await loading


async def test_a_new_visitor_reads_the_first_words_after_three_round_trips(
    page: Page, stack: RunningStack, rounds: Rounds
) -> None:
    await page.add_init_script("localStorage.clear()")
    await the_page_loads(page, stack, rounds)
    await expect(page.locator("#status")).to_have_attribute("data-state", "connecting")
    await expect(page.locator(".message")).to_have_count(1)
    await expect(page.locator(".message.typing")).to_be_visible()
    await rounds.release("POST /v1/visits")
    await expect(page.locator(".message.assistant:not(.typing)")).to_have_count(1)


async def test_who_comes_back_reads_the_conversation_after_three_round_trips(
    page: Page, stack: RunningStack, rounds: Rounds
) -> None:
    kept = "JSON.parse(localStorage.getItem('zhiyin.session'))"
    await the_page_loads(page, stack, rounds)
    conversation = await page.evaluate(f"{kept}.talks[''].id")
    await rounds.release(f"GET /v1/conversations/{conversation}/stream")
    await expect(page.locator(".message.assistant:not(.typing)")).to_have_count(1)

    # Later the access token has expired.
    await page.evaluate(f"localStorage.setItem('zhiyin.session', JSON.stringify({{...{kept}, expires: 0}}))")
    await page.unroute_all(behavior="ignoreErrors")
    await page.goto("about:blank")
    rounds.waiting.clear()
    await page.route("**/*", rounds.hold)
    await the_page_loads(page, stack, rounds)
    await rounds.release("POST /v1/visits")
    await expect(page.locator(".message.assistant:not(.typing)")).to_have_count(1)
    assert await page.evaluate(f"{kept}.talks[''].id") == conversation


async def test_a_visit_whose_answer_is_lost_is_sent_again_as_the_same(page: Page) -> None:
    await expect(page.locator("#status")).to_have_text("在线")
    sent: list[Any] = []

    async def lose(route: Route) -> None:
        sent.append(route.request.post_data_json)
        answer = await route.fetch()
        if len(sent) == 1:
            await route.abort()
        else:
            await route.fulfill(response=answer)

    await page.route("**/v1/visits", lose)
    await page.evaluate("localStorage.clear()")
    await page.reload()
    await expect(page.locator("#status")).to_have_text("在线")
    await expect(page.locator(".message")).to_have_count(1)
    assert [each["visit_id"] for each in sent] == [sent[0]["visit_id"]] * 2
    assert await say(page, "你好")
