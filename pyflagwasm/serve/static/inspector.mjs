// The page: what is typed goes to the engine, what it answers to the list and to the flag that is looked at.
import { by } from "./dom.mjs";
import { ContextEditor } from "./context.mjs";
import { Detail } from "./detail.mjs";
import { Engine, Superseded } from "./engine.mjs";
import { FlagList } from "./flags.mjs";

const POLL_MS = 2000, SETTLE_MS = 120;

class Changed extends Error {} // another configuration is live by now

async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body, signal });
  if (answer.status === 409) throw new Changed();
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

class Page {
  constructor(engine) {
    this.engine = engine;
    this.given = null; // the last context that could be read
    this.flag = null;
    this.turn = this.crowd = new AbortController();
    this.list = new FlagList((flag) => this.choose(flag));
    this.detail = new Detail(() => this.populate());
    this.editor = new ContextEditor((given) => {
      by("main").classList.toggle("stale", given === null);
      if (given === null) return;
      this.given = given;
      this.evaluate();
    });
  }

  // ---- the configuration

  /** Look whether another one is live, and again in a while. */
  async poll() {
    if (!document.hidden || !this.engine.configuration) {
      try {
        await this.look();
      } catch (error) {
        this.status("bad", error instanceof TypeError ? "The server cannot be reached; this page goes on" : error.message);
      }
    }
    setTimeout(() => this.poll(), POLL_MS);
  }

  async look() {
    const { configuration } = this.engine, headers = configuration ? { "If-None-Match": `"${configuration.tag}"` } : {};
    const answer = await fetch("configuration", { headers, cache: "no-store" });
    const generation = answer.headers.get("Pyflagwasm-Generation");
    if (answer.status !== 304) {
      const content = await answer.json();
      if (!answer.ok) return this.status("wait", content.error);
      await this.engine.load(content, answer.headers.get("ETag").replace(/^W\/|"/g, ""));
      by("format").textContent = content.format;
      by("unexplained").hidden = content.explains;
      by("main").hidden = false;
      this.list.load(content.flags, decodeURIComponent(location.hash.slice(1)) || null);
      this.editor.typed();
    } else if (configuration.reads_now && !this.editor.fixed) {
      this.editor.typed();
    }
    by("generation").textContent = generation;
    return this.status("good", "Live");
  }

  status(kind, words) {
    by("status").className = `status ${kind}`;
    if (by("status-words").textContent !== words) by("status-words").textContent = words;
  }

  // ---- answers

  choose(flag) {
    this.flag = flag;
    this.detail.show(flag);
    this.editor.show(flag);
    if (flag === null) return;
    history.replaceState(null, "", `#${encodeURIComponent(flag.key.toWellFormed?.() ?? flag.key)}`);
    if (this.given && this.engine.configuration.flags.includes(flag)) this.evaluate(false);
  }

  /** Answer anew, for all flags or only for the one that is looked at. */
  async evaluate(all = true) {
    this.turn.abort();
    const { signal } = this.turn = new AbortController(), { given, engine, flag } = this;
    await this.guarded(async () => {
      if (all) this.list.answers(await engine.evaluate(given, signal));
      by("main").dataset.answered = given.text;
      if (flag === null || signal.aborted) return;
      this.populate();
      const told = await engine.explain(flag, given, signal);
      this.detail.answer(told.outcome);
      if (!engine.configuration.explains) return this.detail.silent("Not compared");
      const words = await engine.words(flag, given, told, signal);
      if (!signal.aborted) this.detail.words(words);
      by("detail").dataset.explained = JSON.stringify([flag.key, given.text]);
    }, signal);
  }

  async populate() {
    this.crowd.abort();
    const { signal } = this.crowd = new AbortController(), { given, engine, flag } = this;
    if (!given || flag === null) return;
    by("split").dataset.done = "";
    const people = this.detail.varied(given.context);
    await new Promise((resume) => setTimeout(resume, SETTLE_MS));
    if (signal.aborted) return;
    await this.guarded(() => engine.population(flag, given, people,
      (counts, done) => signal.aborted || this.detail.population(counts, done, people.count), signal), signal);
  }

  async guarded(work, signal) {
    try {
      await work();
    } catch (error) {
      if (signal.aborted || error instanceof Superseded) return;
      if (error instanceof Changed) return void this.look().catch(() => {});
      if (error instanceof TypeError) return this.detail.silent("The server cannot be reached");
      console.error(error);
      this.detail.silent(error.message);
    }
  }
}

try {
  const module = await WebAssembly.compileStreaming(fetch("core.wasm"));
  await new Page(new Engine(module, ask)).poll();
} catch (error) {
  by("status").className = "status bad";
  by("status-words").textContent = `The core cannot run in this browser: ${error.message}`;
}
