// A second host for core.wasm, from schema/README.md alone: no dependencies, Node 18 or newer. Batches are left out.
//
//   node wasm/host.mjs schema/golden                     run the golden cases
//   node wasm/host.mjs --repeat 2000000 CASE.json        evaluate one case over and over, for node --cpu-prof
//   ... --core FILE                                      another module, such as one with names (wasm/build.py --names)
//
// A value in a golden case is null, true, "text", an integer, a list, or what JSON cannot tell apart: {float: "1.0"},
// {int: "9007199254740993"}, {object: [[key, value]]}, {missing: true}, {config: [kind, length, bits]}.
import { readFileSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { DECISION, FINGERPRINT, Kind, LIMITS, Outcome, REQUEST, SCRATCH, Space, Status, TRACE } from "./abi.mjs";

const CORE = fileURLToPath(new URL("../pyflagwasm/core.wasm", import.meta.url));
const PARAMETERS = { abi_fingerprint: 0, scratch_base: 0, region_reserve: 1, config_stage: 1, config_commit: 0,
  evaluate: 1, evaluate_many: 1, explain: 1, evaluate_batch: 2 };
const u64 = (value) => BigInt.asUintN(64, value);

export class Host {
  constructor(bytes = readFileSync(CORE)) {
    const module = new WebAssembly.Module(bytes);
    const found = WebAssembly.Module.exports(module).map(({ name, kind }) => `${name} ${kind}`).sort().join();
    const wanted = [...Object.keys(PARAMETERS).map((name) => `${name} function`), "memory memory"].sort().join();
    if (found !== wanted) throw new Error(`core.wasm exports ${found}, not ${wanted}`);
    this.core = new WebAssembly.Instance(module).exports; // fails if the module imports anything
    for (const [name, count] of Object.entries(PARAMETERS))
      if (this.core[name].length !== count) throw new Error(`${name} takes ${this.core[name].length} parameters`);
    if (u64(this.core.abi_fingerprint()) !== FINGERPRINT) throw new Error("core.wasm has another fingerprint");
    this.scratch = this.core.scratch_base() >>> 0;
    this.view = new DataView(this.core.memory.buffer);
  }

  stage(config) { // the Status, and the index of the first bad element
    const room = Math.min(3 * config.length + 256, LIMITS.max_config); // for the core's prepared form
    const at = this.core.region_reserve(Math.max(config.length, room)) >>> 0;
    this.view = new DataView(this.core.memory.buffer); // memory may have grown
    if (!at) return [Status.NoRegion, 0];
    new Uint8Array(this.core.memory.buffer, at, config.length).set(config);
    const result = u64(this.core.config_stage(config.length));
    return [Number(result & 0xffffffffn), Number(result >> 32n)];
  }

  load(config) {
    const [status, element] = this.stage(config);
    if (status !== Status.Ok) throw new Error(`stage: status ${status} at element ${element}`);
    if (this.core.config_commit() !== Status.Ok) throw new Error("commit: nothing is staged");
  }

  write(values, nowUs) { // the request's bytes, which lie in scratch then
    const { view, scratch } = this, heapAt = REQUEST.slots + 16 * values.length + 4, start = scratch + heapAt;
    let end = 0; // of the heap
    const room = (size) => {
      if ((end += size) > SCRATCH.request_size - heapAt) throw new RangeError("the request is too large");
      return end - size;
    };
    const put = (at, kind, space, length, bits) => {
      view.setUint32(at, kind | space << 8, true), view.setUint32(at + 4, length, true);
      view.setBigUint64(at + 8, u64(BigInt(bits)), true);
    };
    const text = (at, value) => {
      if (/\p{Surrogate}/u.test(value)) throw new TypeError("a lone surrogate has no UTF-8");
      const bytes = new TextEncoder().encode(value), offset = room(bytes.length);
      new Uint8Array(this.core.memory.buffer, start + offset, bytes.length).set(bytes);
      put(at, Kind.Text, Space.Request, bytes.length, offset);
    };
    const members = (at, kind, length, writers) => { // room for all members first, then their own texts and members
      new Uint8Array(this.core.memory.buffer, start + end, -end & 7).fill(0);
      room(-end & 7);
      const offset = room(16 * writers.length);
      put(at, kind, Space.Request, length, offset);
      writers.forEach((write, number) => write(start + offset + 16 * number));
    };
    const value = (at, given, depth = 0) => {
      if (given === null) return put(at, Kind.Null, 0, 0, 0);
      if (typeof given === "boolean") return put(at, Kind.Bool, 0, 0, given);
      if (typeof given === "number") return put(at, Kind.Int, 0, 0, given);
      if (typeof given === "string") return text(at, given);
      const inner = (member) => (place) => value(place, member, depth + 1);
      if ((Array.isArray(given) || "object" in given) && depth === LIMITS.value_depth) throw new RangeError("too deep");
      if (Array.isArray(given)) return members(at, Kind.List, given.length, given.map(inner));
      if ("missing" in given) return put(at, Kind.Missing, 0, 0, 0);
      if ("int" in given) return put(at, Kind.Int, 0, 0, given.int);
      if ("config" in given) return put(at, given.config[0], Space.Config, given.config[1], given.config[2]);
      if ("object" in given) return members(at, Kind.Object, given.object.length,
        given.object.flatMap(([key, member]) => [(place) => text(place, key), inner(member)]));
      put(at, Kind.Float, 0, 0, 0), view.setFloat64(at + 8, Number(given.float), true);
    };
    const word = (at, number) => view.setUint32(scratch + at, number, true);
    [REQUEST.root, 0x51524650, 10 | 24 << 16, 4 | 8 << 16, 16, 0, 16, 24].forEach((number, i) => word(4 * i, number));
    view.setBigInt64(scratch + REQUEST.now_us, BigInt(nowUs), true);
    word(REQUEST.heap_field, heapAt - 4 - REQUEST.heap_field), word(44, 0), word(48, 0);
    word(REQUEST.slots_length, values.length);
    values.forEach((given, number) => value(scratch + REQUEST.slots + 16 * number, given));
    word(heapAt - 4, end);
    return Buffer.from(this.core.memory.buffer, scratch, heapAt + end);
  }

  evaluate(flag) { return u64(this.core.evaluate(flag)); }

  evaluateMany(flags) { // at most LIMITS.max_many of them
    const output = this.scratch + SCRATCH.output_offset;
    flags.forEach((flag, number) => this.view.setBigUint64(output + 8 * number, BigInt(flag), true));
    const done = this.core.evaluate_many(flags.length);
    return Array.from({ length: done }, (_, number) => this.view.getBigUint64(output + 8 * number, true));
  }

  explain(flag) { // the decision, and [node, outcome, kind, bits] in execution order
    const packed = u64(this.core.explain(flag)), { view } = this, output = this.scratch + SCRATCH.output_offset;
    return [packed, Array.from({ length: view.getUint32(output + TRACE.count, true) }, (_, number) => {
      const at = output + TRACE.events + 16 * number;
      return [view.getUint32(at, true), view.getUint8(at + 4), view.getUint8(at + 5), view.getBigUint64(at + 8, true)];
    })];
  }
}

export function decode(packed) {
  const bits = (name) => BigInt(DECISION[`${name}_bits`] ?? 1);
  const field = (name) => Number(packed >> BigInt(DECISION[`${name}_shift`]) & (1n << bits(name)) - 1n);
  const index = (name) => (field(name) === DECISION.none ? null : field(name));
  return { variant: index("variant"), rule: index("rule"), reason: field("reason"), error: field("error"),
    bucket: field("bucketed") ? field("bucket") : null };
}

// ------------------------------------------------------------ golden cases

const nameOf = (names, number) => Object.keys(names).find((name) => names[name] === number);
const oneNan = (kind, bits) => // NaN is one value, whatever its sign and payload
  (kind === Kind.Float && BigInt.asUintN(63, bits) > 0x7ffn << 52n ? 0x7ff8n << 48n : bits);
const event = ([node, outcome, kind, bits]) =>
  `${node} ${nameOf(Outcome, outcome)} ${nameOf(Kind, kind)} ${oneNan(kind, bits)}`;
const hex = (packed) => `0x${packed.toString(16).padStart(16, "0")}`;

function open(path, host) {
  const golden = JSON.parse(readFileSync(path));
  host.load(Buffer.from(golden.config.join(""), "base64"));
  return golden.requests;
}

function* differences(path, host) {
  for (const { slots, now_us, request, answers } of open(path, host)) {
    const same = (what, ours, theirs) => (`${ours}` === `${theirs}` ? [] : [`${what}: ${ours}, not ${theirs}`]);
    yield* same("request", host.write(slots, now_us).toString("base64"), request.join(""));
    for (const { flag, decision, trace } of answers) {
      const [packed, events] = host.explain(flag);
      yield* same(`flag ${flag}`, hex(host.evaluate(flag)), decision);
      yield* same(`flag ${flag} explained`, hex(packed), decision);
      yield* same(`trace of flag ${flag}`, events.map(event), trace);
    }
    const many = host.evaluateMany(answers.map(({ flag }) => flag));
    yield* same("all flags", many.map(hex), answers.map(({ decision }) => decision));
  }
}

function test(folder, newHost) {
  let host = newHost(), passed = 0, failed = 0;
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".json")).sort()) {
    let found;
    try {
      found = [...differences(join(folder, name), host)];
    } catch (error) { // a trap too: the instance is not called again
      [found, host] = [[String(error)], newHost()];
    }
    for (const difference of found) console.error(`${name}: ${difference}`);
    if (found.length) failed += 1;
    else passed += 1;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed || !passed ? 1 : 0;
}

function repeat(path, times, host) {
  const requests = open(path, host), begun = performance.now();
  let done = 0;
  for (let round = 0; done < times; round += 1) {
    const { slots, now_us, answers } = requests[round % requests.length];
    host.write(slots, now_us);
    const end = Math.min(times, done + 1000);
    for (; done < end; done += 1) host.core.evaluate(answers[done % answers.length].flag);
  }
  console.log(`${done} evaluations, ${Math.round((performance.now() - begun) * 1e6 / done)} ns each`);
  return 0;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const options = { repeat: { type: "string" }, core: { type: "string", default: CORE } };
  const { values, positionals: [path] } = parseArgs({ options, allowPositionals: true });
  const newHost = () => new Host(readFileSync(values.core));
  process.exitCode = values.repeat ? repeat(path, Number(values.repeat), newHost()) : test(path, newHost);
}
