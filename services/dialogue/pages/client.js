// Talks to the server: tokens that renew themselves, messages that may be sent again, events that resume.

const STORE = "zhiyin.session";
// With whom the page talks: `?assistant=bank`, or the installation's own.
const ASSISTANT = new URLSearchParams(location.search).get("assistant");
const RENEWAL = "zhiyin.renewal";
const MARGIN_MS = 30_000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
// The server speaks at once when a stream opens, and at least every 15 seconds after that.
const FIRST_WORD_MS = 5_000;
const SILENCE_MS = 40_000;
const ANSWER_MS = 30_000;
const POLL_SECONDS = 20;
const POLLS = 10;
const REFUSED = Symbol("refused");
// The folder of this page on the server, which may be below a path.
const HOME = new URL("..", import.meta.url);

export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail ?? `HTTP ${status}`);
    this.status = status;
  }

  // Whether the same request may go well later.
  get passing() {
    return this.status >= 500 || this.status === 429;
  }
}

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Resolves after the time, or as soon as the browser has a network again.
function pause(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}

async function answerOf(response) {
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new Problem(response.status, await response.json().catch(() => null));
}

async function request(path, { ms = ANSWER_MS, signal, ...options } = {}) {
  const attempt = new AbortController();
  const stop = () => attempt.abort();
  signal?.addEventListener("abort", stop);
  const timer = setTimeout(stop, ms);
  try {
    return await answerOf(await fetch(new URL(path, HOME), { ...options, signal: attempt.signal }));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function post(path, body, headers = {}) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

// The assistant as a request names it.
function asked() {
  return ASSISTANT ? { assistant: ASSISTANT } : {};
}

function stored() {
  try {
    // Pages of before there were several assistants kept the one conversation.
    const { conversation, ...kept } = JSON.parse(localStorage.getItem(STORE)) ?? {};
    return { talks: conversation ? { "": { id: conversation } } : {}, ...kept };
  } catch {
    return {};
  }
}

export class Client {
  constructor() {
    this.session = stored();
    this.renewing = null;
    this.entering = null;
    this.arriving = null;
    // Another window of this browser has logged in or out.
    this.onSomebodyElse = () => {};
    addEventListener("storage", (event) => {
      if (event.key === STORE) this.takeOver(stored());
    });
  }

  // Each assistant has a conversation of its own; the session is the same.
  get talk() {
    return this.session.talks?.[ASSISTANT ?? ""] ?? {};
  }

  converse(conversation) {
    const talk = conversation ? { id: conversation.id, title: conversation.title } : {};
    this.save({ talks: { ...this.session.talks, [ASSISTANT ?? ""]: talk } });
  }

  // Tokens are the browser's, so those that another window got are used; which conversation is shown is the window's own.
  takeOver(fresh) {
    const another = fresh.visitor !== this.session.visitor;
    const talks = another ? fresh.talks : { ...fresh.talks, [ASSISTANT ?? ""]: this.talk };
    this.session = { ...fresh, talks };
    if (another) this.onSomebodyElse();
  }

  save(changes) {
    this.session = { ...this.session, ...changes };
    localStorage.setItem(STORE, JSON.stringify(this.session));
  }

  takeTokens(tokens) {
    this.save({
      access: tokens.access_token,
      refresh: tokens.refresh_token,
      expires: Date.now() + tokens.expires_in * 1000,
    });
  }

  async login(username, password) {
    this.takeTokens(await post("v1/auth/login", { username, password }));
    this.save({ username, visitor: newId(), talks: {} });
  }

  async logout() {
    const refresh = this.session.refresh;
    this.save({ access: null, refresh: null, username: null, visitor: null, talks: {} });
    if (refresh) await post("v1/auth/logout", { refresh_token: refresh }).catch(() => null);
  }

  get valid() {
    return this.session.access && Date.now() < this.session.expires - MARGIN_MS;
  }

  async token() {
    if (!this.valid) {
      this.renewing ??= this.alone(() => this.renew()).finally(() => { this.renewing = null; });
      await this.renewing;
    }
    return this.session.access;
  }

  // Refresh tokens are good for one use: of all windows of the browser one renews, and the others take what it got.
  alone(renew) {
    const once = async () => {
      this.takeOver(stored());
      return this.valid ? [] : renew();
    };
    return navigator.locks ? navigator.locks.request(RENEWAL, once) : once();
  }

  async renew() {
    const tokens = await this.exchange((used) => post("v1/auth/refresh", { refresh_token: used }));
    if (tokens === REFUSED) this.beSomebodyNew(await post("v1/auth/guest", {}), null);
    else if (tokens) this.takeTokens(tokens);
  }

  // What the refresh token gives; null where another window was faster, REFUSED where it gives nothing.
  async exchange(ask) {
    const used = this.session.refresh;
    if (!used) return REFUSED;
    try {
      return await ask(used);
    } catch (error) {
      if (!(error instanceof Problem) || error.passing) throw error;
    }
    // Where browsers have no locks, another window may have been faster.
    const fresh = stored();
    if (!fresh.refresh || fresh.refresh === used) return REFUSED;
    this.takeOver(fresh);
    return null;
  }

  // Another visitor from here on, who cannot read what the last one wrote.
  beSomebodyNew(tokens, conversation) {
    this.takeTokens(tokens);
    this.save({ username: null, visitor: newId(), talks: {} });
    this.converse(conversation);
  }

  async authorized() {
    return { Authorization: `Bearer ${await this.token()}` };
  }

  // The conversation, and what was said in it as far as it came with it.
  async conversation(language) {
    if (this.valid && this.talk.id) return { conversation: this.talk.id, events: [] };
    // Messages that are typed before the page is connected wait for the same conversation.
    this.entering ??= this.enter(language).finally(() => { this.entering = null; });
    return this.entering;
  }

  async enter(language) {
    const events = this.valid ? [] : await this.alone(() => this.visit(language));
    if (!this.talk.id) await this.open(language);
    return { conversation: this.talk.id, events };
  }

  // All that a page without a good session needs comes by one request: where the network is slow, each costs seconds.
  async visit(language) {
    const mine = this.talk.id;
    const going = (used) => this.arrive({ language, refresh_token: used, ...(mine ? { conversation_id: mine } : {}) });
    let arrived = await this.exchange(going);
    if (!arrived) return [];
    if (arrived === REFUSED) {
      arrived = await this.arrive({ language });
      this.beSomebodyNew(arrived, arrived.conversation);
    } else {
      this.takeTokens(arrived);
      this.converse(arrived.conversation);
    }
    return arrived.events;
  }

  // With the same id again where the answer was lost, so that no second conversation is opened.
  async arrive(visit) {
    this.arriving ??= newId();
    try {
      const arrived = await post("v1/visits", { visit_id: this.arriving, ...asked(), ...visit });
      this.arriving = null;
      return arrived;
    } catch (error) {
      if (error instanceof Problem && !error.passing) this.arriving = null;
      throw error;
    }
  }

  async open(language) {
    const opened = await post("v1/conversations", { ...asked(), language }, await this.authorized());
    this.converse(opened);
  }

  // The same message_id again has no second effect, so a lost answer is no reason not to ask again.
  async send(message, language) {
    let conversation = null;
    for (let attempt = 0; ; attempt++) {
      try {
        // A retry goes to the conversation in which it was typed, even if another has begun since.
        conversation ??= (await this.conversation(language)).conversation;
        const answer = await post(`v1/conversations/${conversation}/messages`, message, await this.authorized());
        return { conversation, ...answer };
      } catch (error) {
        const again = !(error instanceof Problem) || error.passing;
        if (error instanceof Problem && error.status === 401 && attempt === 0) this.save({ expires: 0 });
        // Without a network it is no use to wait: the page says so, and sends again when there is one.
        else if (!again || attempt >= RETRY_MS.length || !navigator.onLine) throw error;
        await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]);
      }
    }
  }

  // Calls `onEvent` for every event behind `after`, for ever; resumes where it was when the connection breaks.
  // Where something on the way keeps streams back, it asks for events instead, and tries a stream again later.
  async follow(conversation, after, { onEvent, onState, signal }) {
    let failures = 0;
    let held = false;
    const take = (event) => {
      if (event.seq <= after) return;
      after = event.seq;
      onEvent(event);
    };
    const online = () => {
      onState("online");
      failures = 0;
    };
    while (!signal.aborted) {
      try {
        if (held) {
          for (let polls = 0; polls < POLLS && !signal.aborted; polls++) {
            const path = `v1/conversations/${conversation}/events?after=${after}&wait=${POLL_SECONDS}`;
            const found = await request(path, { headers: await this.authorized(), signal });
            online();
            found.events.forEach(take);
          }
          held = false;
        } else {
          held = await this.stream(conversation, after, { take, online, signal });
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && error.status === 404) throw error;
        if (error instanceof Problem && error.status === 401) this.save({ expires: 0 });
        onState("away");
        await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
      }
    }
  }

  // One stream until it ends; true where nothing of it came through.
  async stream(conversation, after, { take, online, signal }) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    let spoken = false;
    let changed = false;
    let timer = null;
    // A connection over the network that went away may look open for long.
    const reconnect = () => {
      changed = true;
      stop();
    };
    signal.addEventListener("abort", stop);
    addEventListener("online", reconnect);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, spoken ? SILENCE_MS : FIRST_WORD_MS);
    };
    try {
      const headers = await this.authorized();
      heard();
      const url = new URL(`v1/conversations/${conversation}/stream?after=${after}`, HOME);
      const response = await fetch(url, { headers, signal: attempt.signal });
      if (!response.ok) throw new Problem(response.status, await response.json().catch(() => null));
      for await (const event of serverSentEvents(response.body, () => { spoken = true; heard(); online(); })) take(event);
      return false;
    } catch (error) {
      if (attempt.signal.aborted && !signal.aborted) return !spoken && !changed;
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      removeEventListener("online", reconnect);
    }
  }
}

async function* serverSentEvents(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      const parsed = data ? JSON.parse(data) : null;
      if (parsed?.seq) yield parsed;
    }
  }
}
