// JSON as the server reads it: an integer is a bigint and never rounded, 1.0 stays a number, an object is a Map in the
// order of its members (of a repeated one the first place and the last value), escapes may leave a lone surrogate.
const MOST_DEPTH = 128, SAFE_DIGITS = 308;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** What is wrong with a text, and where: an offset into it, a line and a column from 1. */
export class JsonError extends Error {
  constructor(message, text, offset) {
    const before = text.slice(0, offset).split("\n");
    super(`${message} at line ${before.length}, column ${before.at(-1).length + 1}`);
    Object.assign(this, { offset, line: before.length, column: before.at(-1).length + 1 });
  }
}

/** The value of a text. Throws JsonError. */
export function parse(text) {
  const lone = /\p{Surrogate}/u.exec(text);
  if (lone) throw new JsonError("a lone surrogate, which cannot be sent,", text, lone.index);
  const reader = new Reader(text), value = reader.value(0);
  reader.space();
  if (reader.at < text.length) reader.fail("something behind the end of the value");
  return value;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  fail(message, offset = this.at) {
    throw new JsonError(message, this.text, offset);
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match) this.at = pattern.lastIndex;
    return match;
  }

  space() { this.take(SPACE); }

  skip(mark) {
    if (!this.text.startsWith(mark, this.at)) return false;
    this.at += mark.length;
    return true;
  }

  value(depth) {
    this.space();
    if (depth > MOST_DEPTH) this.fail(`nested more than ${MOST_DEPTH} deep`);
    if (this.skip('"')) return this.string();
    if (this.skip("{")) return this.object(depth);
    if (this.skip("[")) return this.array(depth);
    for (const [word, value] of [["null", null], ["true", true], ["false", false]]) if (this.skip(word)) return value;
    return this.number();
  }

  number() {
    const start = this.at, match = this.take(NUMBER);
    if (!match) this.fail(this.at < this.text.length ? "a value is expected" : "the end, where a value is expected,");
    if (match[1] || match[2]) return Number(match[0]);
    if (match[0].length > SAFE_DIGITS && !Number.isFinite(Number(match[0])))
      this.fail("an integer beyond the range of a double", start);
    return BigInt(match[0]);
  }

  string() {
    const start = this.at - 1, parts = [];
    for (;;) {
      parts.push(this.take(PLAIN)[0]);
      if (this.skip('"')) return parts.join("");
      if (this.at >= this.text.length) this.fail("a text without its end, which began", start);
      if (!this.skip("\\")) this.fail("a control character in a text: write it as an escape, \\n or \\u000a,");
      parts.push(this.escape());
    }
  }

  escape() {
    const mark = this.text[this.at], start = this.at - 1;
    this.at += 1;
    if (Object.hasOwn(ESCAPES, mark)) return ESCAPES[mark];
    const digits = this.text.slice(this.at, this.at + 4);
    if (mark !== "u" || !/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("no escape of JSON", start);
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  array(depth) {
    const items = [];
    this.space();
    if (this.skip("]")) return items;
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      if (this.skip("]")) return items;
      if (!this.skip(",")) this.fail('"," or "]" is expected');
    }
  }

  object(depth) {
    const members = new Map();
    this.space();
    if (this.skip("}")) return members;
    for (;;) {
      this.space();
      if (!this.skip('"')) this.fail("a key in double quotes is expected");
      const key = this.string();
      this.space();
      if (!this.skip(":")) this.fail('":" is expected');
      members.set(key, this.value(depth + 1));
      this.space();
      if (this.skip("}")) return members;
      if (!this.skip(",")) this.fail('"," or "}" is expected');
    }
  }
}
