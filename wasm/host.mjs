// Runs the second host for core.wasm, pyflagwasm/serve/static/host.mjs, in Node 18 or newer, without dependencies.
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
import { Kind, Outcome, Space } from "../pyflagwasm/serve/static/abi.mjs";
import { encode } from "../pyflagwasm/serve/static/encode.mjs";
import { Host } from "../pyflagwasm/serve/static/host.mjs";

const CORE = fileURLToPath(new URL("../pyflagwasm/core.wasm", import.meta.url));

// ------------------------------------------------------------ golden cases

const nameOf = (names, number) => Object.keys(names).find((name) => names[name] === number);
const oneNan = (kind, bits) => // NaN is one value, whatever its sign and payload
  (kind === Kind.Float && BigInt.asUintN(63, bits) > 0x7ffn << 52n ? 0x7ff8n << 48n : bits);
const event = ([node, outcome, kind, bits]) =>
  `${node} ${nameOf(Outcome, outcome)} ${nameOf(Kind, kind)} ${oneNan(kind, bits)}`;
const hex = (packed) => `0x${packed.toString(16).padStart(16, "0")}`;

function valueOf(given) { // as encode.mjs takes it
  if (given === null || typeof given !== "object") return typeof given === "number" ? BigInt(given) : given;
  if (Array.isArray(given)) return given.map(valueOf);
  if ("missing" in given || "config" in given) return undefined;
  if ("int" in given) return BigInt(given.int);
  if ("object" in given) return new Map(given.object.map(([key, member]) => [key, valueOf(member)]));
  return Number(given.float);
}

function requestOf(slots, nowUs) { // what lies in the configuration is a default there, so a part of the template
  const template = Buffer.alloc(16 * slots.length);
  slots.forEach((given, number) => {
    if (!given?.config) return;
    template.writeUInt32LE(given.config[0] | Space.Config << 8, 16 * number);
    template.writeUInt32LE(given.config[1], 16 * number + 4);
    template.writeBigUInt64LE(BigInt(given.config[2]), 16 * number + 8);
  });
  return encode(template, slots.map(valueOf), BigInt(nowUs));
}

function open(path, host) {
  const golden = JSON.parse(readFileSync(path));
  host.load(Buffer.from(golden.config.join(""), "base64"));
  return golden.requests;
}

function* differences(path, host) {
  for (const { slots, now_us, request, answers } of open(path, host)) {
    const same = (what, ours, theirs) => (`${ours}` === `${theirs}` ? [] : [`${what}: ${ours}, not ${theirs}`]);
    const written = requestOf(slots, now_us);
    yield* same("request", Buffer.from(written).toString("base64"), request.join(""));
    host.write(written);
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
    host.write(requestOf(slots, now_us));
    const end = Math.min(times, done + 1000);
    for (; done < end; done += 1) host.core.evaluate(answers[done % answers.length].flag);
  }
  console.log(`${done} evaluations, ${Math.round((performance.now() - begun) * 1e6 / done)} ns each`);
  return 0;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const options = { repeat: { type: "string" }, core: { type: "string", default: CORE } };
  const { values, positionals: [path] } = parseArgs({ options, allowPositionals: true });
  const module = new WebAssembly.Module(readFileSync(values.core));
  const newHost = () => new Host(module);
  process.exitCode = values.repeat ? repeat(path, Number(values.repeat), newHost()) : test(path, newHost);
}
