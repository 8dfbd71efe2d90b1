// How a slot finds its value in the evaluation context: those views of runtime/views/ that belong to no vendor. What a
// vendor's view gives is asked of the server.
const KEY = "targetingKey", ALIAS = "targeting_key", INDEX_DIGITS = 18;

const top = (context, key) => (key === KEY && !context.has(KEY) ? context.get(ALIAS) : context.get(key));

function index(key, length) { // inside, that the key is the canonical decimal of
  if (!/^(?:0|[1-9][0-9]*)$/.test(key) || key.length > INDEX_DIGITS) return undefined;
  return Number(key) < length ? Number(key) : undefined;
}

function follow(value, keys) {
  for (const key of keys) {
    if (value instanceof Map) {
      value = value.get(key);
    } else if (typeof value === "string" || Array.isArray(value)) {
      const items = [...value]; // of a text the characters, not the units of UTF-16
      if (key === "length") return BigInt(items.length);
      const number = index(key, items.length);
      value = number === undefined ? undefined : items[number];
    } else {
      return undefined;
    }
    if (value === undefined) return undefined;
  }
  return value;
}

function path(context, keys) {
  return keys.length ? follow(top(context, keys[0]), keys.slice(1)) : context;
}

function flagdContext(context, [flag], nowUs) {
  const key = top(context, KEY), whole = new Map(context);
  whole.delete(KEY);
  const timestamp = (nowUs - ((nowUs % 1000000n) + 1000000n) % 1000000n) / 1000000n; // floor, before 1970 too
  whole.set("$flagd", new Map([["flagKey", flag], ["timestamp", timestamp]]));
  return whole.set(KEY, key === undefined ? null : key);
}

const VIEWS = { path, targeting_key: (context) => top(context, KEY), flagd_context: flagdContext };

/** Whether all of these slots, `{view, args}` each, can be read here. */
export const local = (slots) => slots.every(({ view }) => Object.hasOwn(VIEWS, view));

/** The value of each slot whose number is in `wanted`, undefined for what the context, a Map, does not have. */
export function read(slots, wanted, context, nowUs) {
  const values = new Array(slots.length).fill(undefined);
  for (const number of wanted) values[number] = VIEWS[slots[number].view](context, slots[number].args, nowUs);
  return values;
}
