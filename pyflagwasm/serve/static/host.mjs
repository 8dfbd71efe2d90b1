// A host for core.wasm, from schema/README.md alone, for browsers and for Node (wasm/host.mjs): no dependencies and
// nothing of either in it. Batches are left out. Requests are bytes here; encode.mjs writes them.
import { DECISION, FINGERPRINT, LIMITS, SCRATCH, Status, TRACE } from "./abi.mjs";

const PARAMETERS = { abi_fingerprint: 0, scratch_base: 0, region_reserve: 1, config_stage: 1, config_commit: 0,
  evaluate: 1, evaluate_many: 1, explain: 1, evaluate_batch: 2 };
const u64 = (value) => BigInt.asUintN(64, value);

export class Host {
  /** module: a compiled WebAssembly.Module. instance: made of it; where a browser wants that to be awaited, by then. */
  constructor(module, instance) {
    const found = WebAssembly.Module.exports(module).map(({ name, kind }) => `${name} ${kind}`).sort().join();
    const wanted = [...Object.keys(PARAMETERS).map((name) => `${name} function`), "memory memory"].sort().join();
    if (found !== wanted) throw new Error(`core.wasm exports ${found}, not ${wanted}`);
    this.core = (instance ?? new WebAssembly.Instance(module)).exports; // fails if the module imports anything
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

  write(request) { // into scratch; it stays there for any number of flags
    new Uint8Array(this.core.memory.buffer, this.scratch, request.length).set(request);
  }

  evaluate(flag) { return u64(this.core.evaluate(flag)); }

  evaluateMany(flags) { // in as many calls as it takes
    const output = this.scratch + SCRATCH.output_offset, decisions = [];
    for (let start = 0; start < flags.length; start += LIMITS.max_many) {
      const some = flags.slice(start, start + LIMITS.max_many);
      some.forEach((flag, number) => this.view.setBigUint64(output + 8 * number, BigInt(flag), true));
      const done = this.core.evaluate_many(some.length);
      for (let number = 0; number < done; number += 1)
        decisions.push(this.view.getBigUint64(output + 8 * number, true));
      if (done !== some.length) throw new Error(`evaluate_many(${some.length}) decided ${done}`);
    }
    return decisions;
  }

  explain(flag) { // the decision, [node, outcome, kind, bits] in execution order, and whether there were more
    const packed = u64(this.core.explain(flag)), { view } = this, output = this.scratch + SCRATCH.output_offset;
    const events = Array.from({ length: view.getUint32(output + TRACE.count, true) }, (_, number) => {
      const at = output + TRACE.events + 16 * number;
      return [view.getUint32(at, true), view.getUint8(at + 4), view.getUint8(at + 5), view.getBigUint64(at + 8, true)];
    });
    return [packed, events, view.getUint32(output + TRACE.truncated, true) !== 0];
  }
}

export function decode(packed) {
  const bits = (name) => BigInt(DECISION[`${name}_bits`] ?? 1);
  const field = (name) => Number(packed >> BigInt(DECISION[`${name}_shift`]) & (1n << bits(name)) - 1n);
  const index = (name) => (field(name) === DECISION.none ? null : field(name));
  return { variant: index("variant"), rule: index("rule"), reason: field("reason"), error: field("error"),
    bucket: field("bucketed") ? field("bucket") : null };
}
