// The chat page: shows a conversation as the stream tells it, and sends what the customer says.
import { Client, Problem, newId } from "./client.js";
import { TEXTS } from "./texts.js";

const LANGUAGE = "zhiyin.language";
const NEAR_THE_END = 80;
// A reply that the customer was told to wait for comes by the stream; after this the page stops showing that one is typed.
const TYPING_MS = 60_000;
const byId = (id) => document.getElementById(id);
const log = byId("log");
const text = byId("text");
const client = new Client();

let language = localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let following = null;
let state = "connecting";
let typing = null;
let question = { seq: 0, turn: null };

const say = (key) => TEXTS[language][key];

function element(tag, className, content) {
  const made = document.createElement(tag);
  made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

function showTexts() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  const title = client.talk.title?.[language] ?? say("title");
  document.title = byId("title").textContent = title;
  text.placeholder = say("prompt");
  byId("language").textContent = say("other");
  byId("who").textContent = client.session.username ? `${client.session.username} · ${say("logout")}` : say("login");
  byId("more").textContent = say("more");
  for (const node of log.querySelectorAll(".message.failed .retry")) node.textContent = say("failed");
  showState(state);
}

function showState(next) {
  const before = state;
  state = navigator.onLine ? next : "offline";
  byId("status").textContent = say(state);
  byId("status").dataset.state = state;
  byId("status").classList.toggle("away", state !== "online");
  if (state === "online" && before !== state) for (const retry of log.querySelectorAll(".message.unreached .retry")) retry.click();
}

function atTheEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_THE_END;
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
  byId("more").hidden = true;
}

// Who reads further up is not taken away from there.
function keepUp(wasAtTheEnd) {
  if (wasAtTheEnd) scrollToEnd();
  else byId("more").hidden = false;
}

function time(moment) {
  return new Date(moment).toLocaleTimeString(language === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit" });
}

function showTyping(shown) {
  clearTimeout(typing);
  log.querySelector(".typing")?.remove();
  if (!shown) return;
  typing = setTimeout(() => showTyping(false), TYPING_MS);
  const ended = atTheEnd();
  log.append(dots("typing"));
  if (ended) scrollToEnd();
}

function dots(kind) {
  const node = element("div", `message assistant ${kind}`);
  const bubble = element("div", "bubble");
  bubble.append(element("i", ""), element("i", ""), element("i", ""));
  node.append(bubble);
  return node;
}

function removeOptions() {
  for (const node of log.querySelectorAll(".options")) node.remove();
}

function showOptions(node, options) {
  const row = element("div", "options");
  for (const option of options) {
    const button = element("button", "", option.title);
    button.type = "button";
    button.addEventListener("click", () => {
      sendMessage(option.title, option.id);
      // The button is gone now; on a phone the field would bring up the keyboard.
      (matchMedia("(pointer: coarse)").matches ? log : text).focus();
    });
    row.append(button);
  }
  node.append(row);
}

// A question is open until it is answered, another one is asked, or a person writes; an action's result is none of it.
function showQuestion(event, node) {
  const ofTheAssistant = event.sender === "assistant" && (event.in_reply_to === null || event.in_reply_to === question.turn);
  if (event.seq < question.seq || (ofTheAssistant && event.options.length === 0)) return;
  question = { seq: event.seq, turn: event.in_reply_to };
  removeOptions();
  if (event.options.length) showOptions(node, event.options);
}

export function showEvent(event) {
  if (log.querySelector(`[data-seq="${event.seq}"]`)) return;
  const ended = atTheEnd();
  const awaited = log.querySelector(".typing:not(.loading)") !== null;
  showTyping(false);
  let node = event.message_id ? log.querySelector(`[data-message="${CSS.escape(event.message_id)}"]`) : null;
  if (!node) {
    node = element("div", `message ${event.sender}`);
    node.append(element("div", "bubble", event.text), element("div", "meta"));
  }
  node.className = `message ${event.sender}`;
  node.dataset.seq = event.seq;
  // In order, whichever way it came; what was not stored yet comes behind it.
  const later = [...log.querySelectorAll(".message")].find((each) => each !== node && !(Number(each.dataset.seq) < event.seq));
  log.insertBefore(node, later ?? null);
  const author = event.sender === "agent" ? `${say("agent")} · ` : "";
  const source = event.data?.source ? ` · ${event.data.source}` : "";
  node.querySelector(".meta").textContent = `${author}${time(event.created_at)}${source}`;
  showQuestion(event, node);
  // A greeting or an action's result is no reply; and where a person writes, the assistant may give none.
  const byPerson = event.sender === "agent" || event.sender === "system";
  if (awaited && !byPerson && event.in_reply_to === null) showTyping(true);
  keepUp(ended || event.sender === "customer");
}

async function deliver(message, node) {
  node.className = "message customer unsent";
  node.querySelector(".meta").textContent = say("unsent");
  showTyping(true);
  try {
    const answer = await client.send(message, language);
    // The stream tells the same; what keeps it back does not keep the answer back.
    if (log.contains(node)) for (const event of [answer.message, ...answer.replies]) showEvent(event);
    if (answer.complete && answer.replies.length === 0) showTyping(false);
  } catch (error) {
    showTyping(false);
    // What the server refused is not sent again by itself.
    const refused = error instanceof Problem && !error.passing;
    node.className = `message customer failed ${refused ? "" : "unreached"}`;
    const retry = element("button", "retry", say("failed"));
    retry.type = "button";
    retry.addEventListener("click", () => deliver(message, node), { once: true });
    node.querySelector(".meta").replaceChildren(retry);
  }
}

function sendMessage(content, choice) {
  const words = content.trim();
  if (!words) return;
  removeOptions();
  const message = { message_id: newId(), text: words, ...(choice ? { choice } : {}) };
  const node = element("div", "message customer unsent");
  node.dataset.message = message.message_id;
  node.append(element("div", "bubble", words), element("div", "meta"));
  log.append(node);
  scrollToEnd();
  deliver(message, node);
}

async function start() {
  following?.abort();
  const mine = (following = new AbortController());
  // As in the page itself, until there are first words.
  log.replaceChildren(dots("typing loading"));
  question = { seq: 0, turn: null };
  showState("connecting");
  while (!mine.signal.aborted) {
    try {
      const { conversation, events } = await client.conversation(language);
      showTexts();
      if (mine.signal.aborted) return;
      events.forEach(showEvent);
      await client.follow(conversation, events.at(-1)?.seq ?? 0, { onEvent: showEvent, onState: showState, signal: mine.signal });
    } catch (error) {
      if (error instanceof Problem && error.status === 422) {
        // There is no such assistant; asking again does not bring it.
        log.replaceChildren(element("p", "problem", say("nobody")));
        showState("nobody");
        return;
      }
      if (error instanceof Problem && error.status === 404) {
        // The conversation is gone or somebody else's: begin another one.
        client.converse(null);
        log.replaceChildren(dots("typing loading"));
        continue;
      }
      showState("away");
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  sendMessage(text.value);
  text.value = "";
  fit();
  text.focus();
});

text.addEventListener("input", fit);
text.addEventListener("keydown", (event) => {
  // While an input method composes, Enter chooses a word; Safari ends the composition first and says so by the key's code.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    byId("composer").requestSubmit();
  }
});

byId("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(LANGUAGE, language);
  showTexts();
});

byId("fresh").addEventListener("click", () => {
  client.converse(null);
  start();
});

byId("who").addEventListener("click", async () => {
  if (client.session.username) {
    await client.logout();
    start();
  } else {
    byId("login-problem").textContent = "";
    byId("login").showModal();
  }
});

byId("login-cancel").addEventListener("click", () => byId("login").close());
byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    await client.login(form.get("username"), form.get("password"));
    event.target.reset();
    byId("login").close();
    start();
  } catch (error) {
    const status = error instanceof Problem ? error.status : 0;
    const key = status === 429 ? "busy" : status >= 400 && status < 500 ? "wrong" : "unreachable";
    byId("login-problem").textContent = say(key);
  }
});

byId("more").addEventListener("click", scrollToEnd);
let ended = true;
log.addEventListener("scroll", () => {
  ended = atTheEnd();
  if (ended) byId("more").hidden = true;
});
// A phone's keyboard takes half of the window.
addEventListener("resize", () => { if (ended) scrollToEnd(); });
addEventListener("offline", () => showState("away"));
addEventListener("online", () => showState("connecting"));
client.onSomebodyElse = start;

showTexts();
start();
