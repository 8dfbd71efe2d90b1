// A context's values as the bytes of a canonical Request (schema/README.md 4), as runtime/encode.py writes them.
//
// A value is undefined (the configuration's default), null, true, a bigint (Int), a number (Float), a string, an array,
// or a Map with text keys (Object). Here are bytes only: slots.mjs finds the values, json.mjs reads them.
import { Kind, LIMITS, REQUEST, SCRATCH, Space } from "./abi.mjs";

const VALUE = 16, LONGEST_KEY = 40;
const INT_MIN = -(2n ** 63n), INT_MAX = 2n ** 63n - 1n;
const utf8 = new TextEncoder();

/** What cannot be sent: where (`user.tags[3]`), and why; the words are those of runtime/plain.py. */
export class Refusal extends Error {
  constructor(reason, where = "") {
    super(where ? `attribute ${where}: ${reason}` : reason);
    this.reason = reason;
    this.where = where;
  }

  within(owner) {
    return new Refusal(this.reason, owner + (this.where && !this.where.startsWith("[") ? "." : "") + this.where);
  }
}

/** The request for these values, one for each slot. template: the 16 bytes of each slot that has none. */
export function encode(template, values, nowUs, labels = []) {
  const writer = new Writer(template, nowUs);
  values.forEach((given, number) => {
    if (given === undefined) return;
    try {
      writer.value(REQUEST.slots + VALUE * number, given, LIMITS.value_depth);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const label = labels[number] ?? `slot ${number}`;
      throw error.where === label ? error : error.within(label);
    }
  });
  return writer.finish();
}

class Writer {
  constructor(template, nowUs) {
    this.heap = REQUEST.slots + template.length + 4; // where it begins
    this.room = SCRATCH.request_size - this.heap;
    this.size = 0; // of what is in it
    this.bytes = new Uint8Array(Math.min(SCRATCH.request_size, this.heap + 1024));
    this.view = new DataView(this.bytes.buffer);
    const words = [REQUEST.root, 0x51524650, 10 | 24 << 16, 4 | 8 << 16, 16, 0, 16, 24];
    words.forEach((word, number) => this.view.setUint32(4 * number, word, true));
    this.view.setBigInt64(REQUEST.now_us, nowUs, true);
    this.view.setUint32(REQUEST.heap_field, this.heap - 4 - REQUEST.heap_field, true);
    this.view.setUint32(REQUEST.slots_length, template.length / VALUE, true);
    this.bytes.set(template, REQUEST.slots);
  }

  finish() {
    this.view.setUint32(this.heap - 4, this.size, true);
    return this.bytes.subarray(0, this.heap + this.size);
  }

  value(at, given, depth) {
    if (given === null) return this.put(at, Kind.Null, 0, 0);
    if (typeof given === "boolean") return this.put(at, Kind.Bool, 0, given ? 1 : 0);
    if (typeof given === "string") return this.text(at, given);
    if (typeof given === "bigint" && INT_MIN <= given && given <= INT_MAX) {
      this.put(at, Kind.Int, 0, 0);
      return this.view.setBigInt64(at + 8, given, true);
    }
    if (typeof given === "bigint" || typeof given === "number") {
      const double = Number(given);
      if (typeof given === "bigint" && !Number.isFinite(double))
        throw new Refusal("the integer is beyond the range of a double");
      this.put(at, Kind.Float, 0, 0);
      return this.view.setFloat64(at + 8, double, true);
    }
    if (depth === 0) throw new Refusal(`lists and objects nest deeper than ${LIMITS.value_depth} levels`);
    return Array.isArray(given) ? this.list(at, given, depth - 1) : this.object(at, given, depth - 1);
  }

  text(at, given) {
    if (/\p{Surrogate}/u.test(given)) throw new Refusal("text with a lone surrogate has no UTF-8");
    const bytes = utf8.encode(given), offset = this.size;
    this.grow(this.size + bytes.length);
    this.bytes.set(bytes, this.heap + offset);
    this.put(at, Kind.Text, bytes.length, offset);
  }

  list(at, given, depth) {
    const members = given.slice(0, Math.floor(this.room / VALUE) + 1), start = this.members(VALUE * members.length);
    this.put(at, Kind.List, members.length, start);
    members.forEach((member, number) => within(`[${number}]`, () => {
      this.value(this.heap + start + VALUE * number, member, depth);
    }));
  }

  object(at, given, depth) {
    const pairs = [...given].slice(0, Math.floor(this.room / (2 * VALUE)) + 1);
    const start = this.members(2 * VALUE * pairs.length);
    this.put(at, Kind.Object, pairs.length, start);
    pairs.forEach(([key, member], number) => within(key, () => {
      const place = this.heap + start + 2 * VALUE * number;
      this.text(place, key);
      this.value(place + VALUE, member, depth);
    }, shown));
  }

  members(wanted) { // the offset of a block in the heap, at the next multiple of 8
    const start = Math.ceil(this.size / 8) * 8;
    this.grow(start + wanted);
    return start;
  }

  grow(size) {
    if (size > this.room) throw new Refusal(`too large: the request needs at least ${this.heap + size} bytes, `
      + `${SCRATCH.request_size} are available`);
    this.size = size;
    if (this.heap + size <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.min(SCRATCH.request_size, 2 * (this.heap + size)));
    bytes.set(this.bytes);
    [this.bytes, this.view] = [bytes, new DataView(bytes.buffer)];
  }

  put(at, kind, length, bits) {
    this.view.setUint32(at, kind | Space.Request << 8, true);
    this.view.setUint32(at + 4, length, true);
    this.view.setUint32(at + 8, bits, true);
    this.view.setUint32(at + 12, 0, true);
  }
}

function within(owner, write, name = (key) => key) {
  try {
    write();
  } catch (error) {
    throw error instanceof Refusal ? error.within(name(owner)) : error;
  }
}

/** A key, short and printable, as Python shows it. */
export function shown(key) {
  const points = [...key];
  const text = points.length <= LONGEST_KEY ? key : `${points.slice(0, LONGEST_KEY).join("")}...`;
  if (!/[\p{C}\p{Zl}\p{Zp}\p{Zs}]/u.test(text.replaceAll(" ", ""))) return text;
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + [...text].map((each) => ascii(each, quote)).join("") + quote;
}

function ascii(each, quote) {
  const code = each.codePointAt(0), named = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" }[each];
  if (named) return named;
  if (each === quote) return `\\${each}`;
  if (code >= 0x20 && code < 0x7f) return each;
  const hex = (width) => code.toString(16).padStart(width, "0");
  return code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
}
