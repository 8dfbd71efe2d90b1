// Elements, made of texts that are never read as HTML.

/** An element. Properties: class, text, on* listeners, and attributes; children: elements and texts. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const by = (id) => document.getElementById(id);

/** What is announced: not once more if it is the same. */
export function say(id, words, kind) {
  const found = by(id);
  if (found.textContent !== words) found.textContent = words;
  if (kind !== undefined) found.className = kind;
}

/** A text with those characters as escapes that would hide, or turn around what is beside them. */
export const visible = (text) => text.replace(HIDING, (each) => `\\u${hex(each.codePointAt(0))}`);
const hex = (code) => code.toString(16).padStart(4, "0");
const HIDING = /[\p{Cc}\p{Cs}\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

/** JSON text in lines; numbers are not touched. */
export function pretty(text) {
  if (!/^[[{]/.test(text)) return text;
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|[[{]\s*[\]}]|[[{]|[\]}]|,\s*|:\s*/g, (token) => {
    if (token[0] === '"' || /^[[{]\s*[\]}]$/.test(token)) return token;
    if (token === "[" || token === "{") { depth += 1; return token + line(); }
    if (token === "]" || token === "}") { depth -= 1; return line() + token; }
    return token[0] === "," ? `,${line()}` : ": ";
  });
}

export const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** How many rules a flag has; null if that is not known. */
export const rules = ({ rules: count, constant }) => (count ? counted(count, "rule") : count === null ? null
  : constant ? "no rules" : "targeting");

export const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 2 : 1).replace(/\.?0+$/, "")}%`;
