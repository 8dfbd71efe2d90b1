// The page: what is typed goes to the engine, what it answers to the list and to the flag that is looked at.
import { ContextEditor } from "./context.mjs";
import { Detail } from "./detail.mjs";
import { by, say } from "./dom.mjs";
import { Engine, Superseded } from "./engine.mjs";
import { FlagList } from "./flags.mjs";

const POLL_MS = 2000, SETTLE_MS = 120;

class Changed extends Error {} // another configuration is live by now
class Unreachable extends Error {}

async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable("The server cannot be reached; this page goes on");
  }
}

async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const answer = await asked(path, { method: "POST", headers, body, signal });
  if (answer.status === 409) throw new Changed();
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

class Page {
  constructor(module) {
    this.module = module;
    this.engine = null;
    this.given = null; // the last context that could be read
    this.flag = null;
    this.turn = new AbortController(); // what is asked for the flags as they are
    this.crowd = new AbortController(); // what is asked for the population
    this.list = new FlagList((flag) => this.choose(flag));
    this.detail = new Detail(() => this.populate());
    this.editor = new ContextEditor((given, tick) => {
      by("main").classList.toggle("stale", given === null);
      if (given === null) return;
      this.given = given;
      this.evaluate(tick);
    });
  }

  // ---- the configuration

  /** Look whether another one is live, and again in a while. */
  async poll() {
    if (!document.hidden || !this.engine) await this.look();
    setTimeout(() => this.poll(), POLL_MS);
  }

  async look() {
    try {
      const headers = this.engine ? { "If-None-Match": `"${this.engine.tag}"` } : {};
      const answer = await asked("configuration", { headers, cache: "no-store" });
      if (answer.status === 304) {
        if (this.engine.sent.reads_now) this.editor.tick();
      } else {
        const content = await answer.json();
        if (!answer.ok) return this.status("wait", content.error);
        await this.load(content, answer.headers.get("ETag").replace(/^W\/|"/g, ""));
      }
      say("generation", answer.headers.get("Pyflagwasm-Generation"));
      this.status("good", "Live");
    } catch (error) {
      if (!(error instanceof Unreachable)) console.error(error);
      this.status("bad", error.message);
    }
  }

  async load(sent, tag) {
    this.engine = await Engine.load(this.module, sent, tag, ask);
    this.turn.abort();
    this.crowd.abort();
    say("format", sent.format);
    by("unexplained").hidden = sent.explains;
    by("main").hidden = false;
    this.list.load(sent.flags, wanted());
    this.editor.typed();
  }

  status(kind, words) {
    by("status").className = `status ${kind}`;
    say("status-words", words);
  }

  // ---- answers

  choose(flag) {
    this.flag = flag;
    this.detail.show(flag);
    this.editor.show(flag);
    if (flag === null) return;
    history.replaceState(null, "", `#${encodeURIComponent(flag.key.replace(/\p{Surrogate}/gu, "\ufffd"))}`);
    if (this.given) this.explain();
  }

  /** Answer anew. tick: only the time has changed, for which no population is counted again. */
  async evaluate(tick) {
    this.turn.abort();
    const { signal } = this.turn = new AbortController(), { given, engine } = this;
    await this.guarded(signal, async () => {
      const answers = await engine.evaluate(given, signal);
      if (signal.aborted) return;
      this.list.answers(answers);
      by("main").dataset.answered = given.text;
      await this.explain(tick);
    });
  }

  async explain(tick = false) {
    this.turn.abort();
    const { signal } = this.turn = new AbortController(), { given, engine, flag } = this;
    if (flag === null) return;
    await this.guarded(signal, async () => {
      if (!tick) this.populate();
      const told = await engine.explain(flag, given, signal);
      if (signal.aborted) return;
      this.detail.answer(told.outcome);
      if (!engine.sent.explains) return this.detail.silent("Not compared");
      const words = await engine.words(flag, given, told, signal);
      if (signal.aborted) return;
      this.detail.words(words);
      by("detail").dataset.explained = JSON.stringify([flag.key, given.text]);
    });
  }

  async populate() {
    this.crowd.abort();
    const { signal } = this.crowd = new AbortController(), { given, engine, flag } = this;
    if (!given || flag === null) return;
    by("split").dataset.done = "";
    const people = this.detail.varied(given.context);
    await new Promise((resume) => setTimeout(resume, SETTLE_MS)); // somebody who types has not come to the end
    if (signal.aborted) return;
    const progress = (counts, done) => signal.aborted || this.detail.population(counts, done, people.count);
    await this.guarded(signal, () => engine.population(flag, given, people, progress, signal));
  }

  async guarded(signal, work) {
    try {
      await work();
    } catch (error) {
      if (signal.aborted || error instanceof Superseded) return;
      if (error instanceof Changed) return void this.look();
      if (!(error instanceof Unreachable)) console.error(error);
      this.detail.silent(error.message);
      if (error instanceof WebAssembly.RuntimeError) // an instance that trapped is not called again
        this.engine = await Engine.load(this.module, this.engine.sent, this.engine.tag, ask);
    }
  }
}

function wanted() { // the flag that the address names
  try {
    return decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    return null;
  }
}

try {
  await new Page(await WebAssembly.compileStreaming(fetch("core.wasm"))).poll();
} catch (error) {
  by("status").className = "status bad";
  say("status-words", `The core cannot run in this browser: ${error.message}`);
}
