// Evaluates a configuration in the browser: core.wasm, the tables that the server sent, and what only it can encode.
// Nothing of the page is here, so all of it runs in Node, too.
import { encode, Refusal } from "./encode.mjs";
import { decode, Host } from "./host.mjs";
import { local, read } from "./slots.mjs";

const PARSE_ERROR = 2, GENERAL = 6; // errors of the core in whose place a broken flag says what its problem is
const CHUNK = 500, SLICE_MS = 12;
const SEED = Math.floor(Math.random() * 2 ** 53); // of what contexts draw, so that both sides draw the same
export const DEFAULT = "the caller's default";

const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
const pause = () => new Promise((resume) => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => { channel.port1.close(); resume(); };
  channel.port2.postMessage(null);
});

/** What was asked for, and is not wanted any more. */
export class Superseded extends Error {}

/** One configuration, live in an instance of the core that is its own: whatever comes next, this one goes on. */
export class Engine {
  /** module: compiled core.wasm. sent: the configuration as the server sent it, and its tag. ask: what the server
   *  answers to a POST, `(path, body, signal)`. Throws if the core refuses the configuration. */
  static async load(module, sent, tag, ask) {
    return new Engine(new Host(module, await WebAssembly.instantiate(module)), sent, tag, ask);
  }

  constructor(host, sent, tag, ask) {
    const every = [...new Set(sent.flags.flatMap(({ slots }) => slots))].sort((one, other) => one - other);
    Object.assign(this, { host, sent, tag, ask, every, flags: sent.flags, local: local(sent.slots) });
    this.template = bytesOf(sent.template);
    this.labels = sent.slots.map(({ label }) => label);
    host.load(bytesOf(sent.ir));
  }

  /** What each flag answers, in the order of the configuration. given: {context, text, nowUs}. */
  async evaluate(given, signal) {
    const { flags } = this, request = await this.requests(given, signal);
    if (request.whole) {
      this.host.write(request.whole);
      const decisions = this.host.evaluateMany(flags.map(({ index }) => index));
      return flags.map((flag, number) => this.outcome(flag, decisions[number]));
    }
    return flags.map((flag) => this.answer(flag, request.apart(flag.slots)));
  }

  /** The decision with its trace, for this flag alone. */
  async explain(flag, given, signal) {
    const request = await this.request(flag, given, signal);
    if (request instanceof Refusal) return { refusal: request, outcome: refused(request) };
    this.host.write(request);
    const [packed, events, truncated] = this.host.explain(flag.index);
    return { packed, events, truncated, outcome: this.outcome(flag, packed) };
  }

  /** The server's words for a trace of `explain`, and whether its own core says the same. */
  async words(flag, given, told, signal) {
    const { refusal, packed, events, truncated } = told;
    const trace = refusal
      ? { refused: refusal.message, code: refusal.code ?? "INVALID_CONTEXT" }
      : { packed: String(packed), events: events.map((each) => [...each.slice(0, 3), String(each[3])]), truncated };
    return this.post("explain", given, { flag: flag.key, ...trace }, signal);
  }

  /** How often each answer is given to `count` contexts that differ in `name` alone: prefix-0, prefix-1, ...
   *  progress: called now and then with the counts so far and how many they are. */
  async population(flag, given, { name, prefix, count }, progress, signal) {
    const counts = new Map();
    let until = performance.now() + SLICE_MS;
    for (let from = 0, some; from < count; from += some) {
      some = Math.min(CHUNK, count - from);
      const vary = { name, prefix, from, count: some }, asked = this.local ? null
        : (await this.post("encode", given, { flag: flag.key, vary }, signal)).requests;
      if (asked) some = asked.length; // of large ones the server sends fewer
      for (let number = 0; number < some; number += 1) {
        const request = asked ? opened(asked[number]) : this.write(flag.slots,
          new Map(given.context).set(name, `${prefix}${from + number}`), given.nowUs);
        const { variant, error } = this.answer(flag, request), answer = error ?? variant ?? DEFAULT;
        counts.set(answer, (counts.get(answer) ?? 0) + 1);
        if (performance.now() < until) continue;
        progress(counts, from + number + 1);
        await pause();
        if (signal.aborted) throw new Superseded();
        until = performance.now() + SLICE_MS;
      }
    }
    progress(counts, count);
    return counts;
  }

  // ---- requests

  async requests(given, signal) {
    if (this.local) {
      const whole = this.write(this.every, given.context, given.nowUs);
      if (!(whole instanceof Refusal)) return { whole };
      const known = new Map(); // a flag that does not read what cannot be sent is not affected
      return { apart: (slots) => {
        if (!known.has(slots.join())) known.set(slots.join(), this.write(slots, given.context, given.nowUs));
        return known.get(slots.join());
      } };
    }
    const { whole, apart } = await this.post("encode", given, {}, signal);
    if (whole) return { whole: bytesOf(whole) };
    const known = new Map(apart.map(([slots, request]) => [slots.join(), opened(request)]));
    return { apart: (slots) => known.get(slots.join()) };
  }

  async request(flag, given, signal) {
    if (this.local) return this.write(flag.slots, given.context, given.nowUs);
    return opened((await this.post("encode", given, { flag: flag.key }, signal)).requests[0]);
  }

  write(slots, context, nowUs) {
    try {
      return encode(this.template, read(this.sent.slots, slots, context, nowUs), nowUs, this.labels);
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  /** The context goes as it was typed: this side's numbers could not say all that JSON can. */
  post(path, { text, nowUs }, more, signal) {
    const rest = JSON.stringify({ tag: this.tag, seed: SEED, ...more });
    return this.ask(path, `{"context":${text},"now_us":${nowUs},${rest.slice(1)}`, signal);
  }

  // ---- answers

  answer(flag, request) {
    if (request instanceof Refusal) return refused(request);
    this.host.write(request);
    return this.outcome(flag, this.host.evaluate(flag.index));
  }

  outcome(flag, packed) {
    const { reasons, errors } = this.sent, { variant, rule, reason, error, bucket } = decode(packed);
    const answer = { value: null, variant: null, reason: reasons[reason] ?? "UNKNOWN", error: null, message: null, rule,
      bucket, number: null };
    if (error || answer.reason === "ERROR") {
      const [code, message] = errors[error] ?? ["GENERAL", `the core reports the unknown error ${error}`];
      const own = flag.problem !== null && (error === PARSE_ERROR || error === GENERAL);
      return { ...answer, reason: "ERROR", error: code, message: own ? flag.problem : message };
    }
    if (variant === null) return answer;
    const [key, value, problem] = flag.variants[variant];
    if (problem !== null) return { ...answer, reason: "ERROR", error: "GENERAL", message: problem };
    return { ...answer, value, variant: key, number: variant };
  }
}

const refused = (refusal) => ({ value: null, variant: null, reason: "ERROR", error: refusal.code ?? "INVALID_CONTEXT",
  message: refusal.message, rule: null, bucket: null, number: null });

function opened(request) {
  if (typeof request === "string") return bytesOf(request);
  const refusal = new Refusal("");
  return Object.assign(refusal, { message: request.refused, code: request.code });
}
