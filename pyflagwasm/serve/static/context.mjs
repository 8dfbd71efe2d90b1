// The editor of the evaluation context: reading what is typed, and what the flag that is looked at reads of it.
import { by, counted, element, say, visible } from "./dom.mjs";
import { parse } from "./json.mjs";

const MOST_CHARACTERS = 128 << 10, MOST_CHIPS = 40, KEPT = "pyflagwasm-context";
const FIRST = '{\n  "targetingKey": "user-1"\n}';

export class ContextEditor {
  /** changed: called with what was typed, as the engine takes it, or with null if that cannot be read; and whether
   *  it is only the time that has changed. */
  constructor(changed) {
    this.changed = changed;
    this.given = null; // the last that could be read
    this.flag = null;
    this.text = by("context");
    this.clock = by("clock");
    this.text.value = kept();
    for (const each of [this.text, this.clock]) each.addEventListener("input", () => this.typed());
  }

  get fixed() { return this.clock.value !== ""; }

  typed() {
    let bad = true;
    try {
      this.given = this.read();
      keep(this.text.value);
      say("context-says", `Valid: ${counted(this.given.context.size, "attribute")}`, "says");
      bad = false;
    } catch (error) {
      say("context-says", `Not evaluated: ${error.message}`, "says bad");
    }
    this.text.setAttribute("aria-invalid", String(bad));
    this.chips();
    this.changed(bad ? null : this.given, false);
  }

  /** Some seconds later. */
  tick() {
    if (this.fixed || this.text.getAttribute("aria-invalid") === "true") return;
    this.given = this.read();
    this.changed(this.given, true);
  }

  read() {
    const text = this.text.value.trim() ? this.text.value : "{}";
    if (text.length > MOST_CHARACTERS)
      throw new Error(`it has more than the ${MOST_CHARACTERS >> 10} Ki characters that this page sends`);
    const context = parse(text);
    if (!(context instanceof Map)) throw new Error("an evaluation context is an object: { ... }");
    const at = this.fixed ? Date.parse(`${this.clock.value}Z`) : Date.now();
    if (this.clock.validity.badInput || Number.isNaN(at)) throw new Error("the clock is no time");
    return { context, text, nowUs: BigInt(at) * 1000n };
  }

  /** What a flag reads: there already, or to be added by a click. */
  show(flag) {
    this.flag = flag;
    this.chips();
  }

  chips() {
    const reads = this.flag?.reads ?? [], context = this.given?.context ?? new Map();
    by("reads-part").hidden = this.flag === null;
    const chips = reads.slice(0, MOST_CHIPS).map((paths) => { // the first is how it is called, the others do as well
      const [path] = paths, name = visible(path.join(".")), there = paths.some((each) => has(context, each));
      const title = there ? "The context has it" : "Add it to the context", onclick = () => this.add(path);
      return element("li", {}, element("button",
        { type: "button", class: there ? "there" : null, "aria-pressed": String(there), title, onclick, text: name }));
    });
    const more = reads.length - MOST_CHIPS;
    if (more > 0) chips.push(element("li", { class: "hint", text: `and ${more} more` }));
    if (!reads.length) chips.push(element("li", { class: "hint", text: "Nothing by name." }));
    by("reads").replaceChildren(...chips);
  }

  /** An attribute with an empty text, the caret in it. Only at the top, where nothing typed can be in its way. */
  add(path) {
    let context;
    try {
      ({ context } = this.read());
    } catch {
      return this.text.focus();
    }
    if (context.has(path[0])) return this.text.focus();
    const old = this.text.value.trimEnd() || "{}", head = old.slice(0, -1).trimEnd();
    const inner = path.map((key) => JSON.stringify(key)).join(": { ");
    const before = `${head}${context.size ? "," : ""}\n  ${inner}: "`, caret = before.length;
    this.text.value = `${before}"${" }".repeat(path.length - 1)}\n}`;
    this.text.focus();
    this.text.setSelectionRange(caret, caret);
    return this.typed();
  }
}

// A browser may forbid to keep anything.
function kept() {
  try {
    return sessionStorage.getItem(KEPT) ?? FIRST;
  } catch {
    return FIRST;
  }
}

function keep(text) {
  try {
    sessionStorage.setItem(KEPT, text);
  } catch { /* it is typed anew after a reload */ }
}

function has(context, path) {
  let value = context;
  for (const key of path) {
    if (!(value instanceof Map) || !value.has(key)) return false;
    value = value.get(key);
  }
  return true;
}
