// The chat page: shows a conversation as the stream tells it, and sends what the customer says.
import { Client, Problem, newId } from "/static/client.js";
import { TEXTS } from "/static/texts.js";

const LANGUAGE = "zhiyin.language";
const byId = (id) => document.getElementById(id);
const log = byId("log");
const text = byId("text");
const client = new Client();

let language = localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let following = null;
let state = "connecting";

const say = (key) => TEXTS[language][key];

function element(tag, className, content) {
  const made = document.createElement(tag);
  made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

function showTexts() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  text.placeholder = say("prompt");
  byId("language").textContent = say("other");
  byId("who").textContent = client.session.username ? `${client.session.username} · ${say("logout")}` : say("login");
  showState(state);
}

function showState(next) {
  state = next;
  byId("status").textContent = say(state);
  byId("status").classList.toggle("away", state !== "online");
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
}

function time(moment) {
  return new Date(moment).toLocaleTimeString(language === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit" });
}

function showTyping(shown) {
  log.querySelector(".typing")?.remove();
  if (!shown) return;
  const node = element("div", "message assistant typing");
  const bubble = element("div", "bubble");
  bubble.append(element("i", ""), element("i", ""), element("i", ""));
  node.append(bubble);
  log.append(node);
  scrollToEnd();
}

function removeOptions() {
  for (const node of log.querySelectorAll(".options")) node.remove();
}

function showOptions(node, options) {
  const row = element("div", "options");
  for (const option of options) {
    const button = element("button", "", option.title);
    button.type = "button";
    button.addEventListener("click", () => sendMessage(option.title, option.id));
    row.append(button);
  }
  node.append(row);
}

function showEvent(event) {
  const typing = log.querySelector(".typing") !== null;
  showTyping(false);
  let node = event.message_id ? log.querySelector(`[data-message="${CSS.escape(event.message_id)}"]`) : null;
  if (!node) {
    node = element("div", `message ${event.sender}`);
    node.append(element("div", "bubble", event.text), element("div", "meta"));
  }
  node.className = `message ${event.sender}`;
  node.dataset.seq = event.seq;
  // What was not stored yet comes behind it.
  log.insertBefore(node, log.querySelector(".message:not([data-seq])"));
  const author = event.sender === "agent" ? `${say("agent")} · ` : "";
  const source = event.data?.source ? ` · ${event.data.source}` : "";
  node.querySelector(".meta").textContent = `${author}${time(event.created_at)}${source}`;
  removeOptions();
  if (event.options.length) showOptions(node, event.options);
  // A greeting or an action's result is no reply; and where a person writes, the assistant may give none.
  const byPerson = event.sender === "agent" || event.sender === "system";
  if (typing && !byPerson && event.in_reply_to === null) showTyping(true);
  scrollToEnd();
}

async function deliver(message, node) {
  node.className = "message customer unsent";
  node.querySelector(".meta").textContent = say("unsent");
  showTyping(true);
  try {
    const answer = await client.send(message, language);
    if (answer.complete && answer.replies.length === 0) showTyping(false);
  } catch {
    showTyping(false);
    node.className = "message customer failed";
    const meta = node.querySelector(".meta");
    meta.textContent = say("failed");
    meta.addEventListener("click", () => deliver(message, node), { once: true });
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
  log.replaceChildren();
  showState("connecting");
  while (!mine.signal.aborted) {
    try {
      const conversation = await client.conversation(language);
      showTexts();
      await client.follow(conversation, 0, { onEvent: showEvent, onState: showState, signal: mine.signal });
    } catch (error) {
      if (error instanceof Problem && error.status === 404) {
        // The conversation is gone or somebody else's: begin another one.
        client.save({ conversation: null });
        log.replaceChildren();
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
  // While an input method composes, Enter chooses a word.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
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
  client.save({ conversation: null });
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

showTexts();
start();
