// Talks to the server: tokens that renew themselves, messages that may be sent again, a stream that resumes.

const STORE = "zhiyin.session";
const MARGIN_MS = 30_000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail ?? `HTTP ${status}`);
    this.status = status;
  }
}

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function answerOf(response) {
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new Problem(response.status, await response.json().catch(() => null));
}

async function post(path, body, headers = {}) {
  return answerOf(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  }));
}

export class Client {
  constructor() {
    try {
      this.session = JSON.parse(localStorage.getItem(STORE)) ?? {};
    } catch {
      this.session = {};
    }
    this.renewing = null;
    this.opening = null;
  }

  save(changes) {
    this.session = { ...this.session, ...changes };
    localStorage.setItem(STORE, JSON.stringify(this.session));
  }

  takeTokens(tokens, username) {
    this.save({
      access: tokens.access_token,
      refresh: tokens.refresh_token,
      expires: Date.now() + tokens.expires_in * 1000,
      username,
    });
  }

  async login(username, password) {
    const tokens = await post("/v1/auth/login", { username, password });
    this.takeTokens(tokens, username);
    this.save({ conversation: null });
  }

  async logout() {
    const refresh = this.session.refresh;
    this.save({ access: null, refresh: null, username: null, conversation: null });
    if (refresh) await post("/v1/auth/logout", { refresh_token: refresh }).catch(() => null);
  }

  async token() {
    if (this.session.access && Date.now() < this.session.expires - MARGIN_MS) return this.session.access;
    // Refresh tokens are good for one use: only one request may renew.
    this.renewing ??= this.renew().finally(() => { this.renewing = null; });
    await this.renewing;
    return this.session.access;
  }

  async renew() {
    if (this.session.refresh) {
      try {
        const tokens = await post("/v1/auth/refresh", { refresh_token: this.session.refresh });
        this.takeTokens(tokens, this.session.username);
        return;
      } catch (error) {
        if (!(error instanceof Problem) || error.status >= 500 || error.status === 429) throw error;
      }
    }
    // Another visitor from here on, who cannot read what the last one wrote.
    this.takeTokens(await post("/v1/auth/guest", {}), null);
    this.save({ conversation: null });
  }

  async authorized() {
    return { Authorization: `Bearer ${await this.token()}` };
  }

  async conversation(language) {
    await this.token();
    if (!this.session.conversation) {
      // Messages that are typed before the page is connected wait for the same conversation.
      this.opening ??= this.open(language).finally(() => { this.opening = null; });
      await this.opening;
    }
    return this.session.conversation;
  }

  async open(language) {
    const opened = await post("/v1/conversations", { language }, await this.authorized());
    this.save({ conversation: opened.id });
  }

  // The same message_id again has no second effect, so a lost answer is no reason not to ask again.
  async send(message, language) {
    let conversation = null;
    for (let attempt = 0; ; attempt++) {
      try {
        // A retry goes to the conversation in which it was typed, even if another has begun since.
        conversation ??= await this.conversation(language);
        return await post(`/v1/conversations/${conversation}/messages`, message, await this.authorized());
      } catch (error) {
        const again = !(error instanceof Problem) || error.status >= 500 || error.status === 429;
        if (!again || attempt >= RETRY_MS.length) throw error;
        await pause(RETRY_MS[attempt]);
      }
    }
  }

  // Calls `onEvent` for every event behind `after`, for ever; resumes where it was when the connection breaks.
  async follow(conversation, after, { onEvent, onState, signal }) {
    let failures = 0;
    while (!signal.aborted) {
      try {
        const response = await fetch(`/v1/conversations/${conversation}/stream?after=${after}`, {
          headers: await this.authorized(),
          signal,
        });
        if (!response.ok) throw new Problem(response.status, await response.json().catch(() => null));
        onState("online");
        failures = 0;
        for await (const event of serverSentEvents(response.body)) {
          if (event.seq <= after) continue;
          after = event.seq;
          onEvent(event);
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
}

async function* serverSentEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
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
