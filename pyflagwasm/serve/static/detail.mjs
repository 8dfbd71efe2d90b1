// One flag: its answer, whether the server agrees, its buckets, the reasons, and how a population splits.
import { by, counted, element, percent, pretty, rules, say, visible } from "./dom.mjs";
import { DEFAULT } from "./engine.mjs";

const COLOURS = 8, MOST_LEGEND = 12, MOST_PEOPLE = 100000;
const NOWHERE = ["outside", "none of them"];

/** The colour of a variant: the same in every drawing of its flag. */
const colour = (number) => (number === null || number === undefined ? "other" : `c${number % COLOURS}`);
const colourOf = ([, , label, variant]) => (NOWHERE.includes(label) ? "none" : colour(variant));

export class Detail {
  /** changed: called when what the population is made of has changed. */
  constructor(changed) {
    this.flag = null;
    this.chosen = new Map(); // by flag, the attribute that somebody chose to vary
    for (const id of ["people", "prefix"]) by(id).addEventListener("input", changed);
    by("vary").addEventListener("input", () => {
      this.chosen.set(this.flag.key, by("vary").value);
      changed();
    });
  }

  show(flag) {
    this.flag = flag;
    by("detail").hidden = flag === null;
    by("nothing").hidden = flag !== null;
    if (flag === null) return;
    by("key").textContent = visible(flag.key);
    by("facts").textContent = [flag.type, rules(flag),
      counted(flag.variants.length, "variant")].filter(Boolean).join(" · ");
    by("problem").hidden = flag.problem === null;
    by("problem").textContent = visible(flag.problem ?? "");
    by("variants").replaceChildren(...flag.variants.map(([key, value, error], number) => element("tr", {},
      element("th", { scope: "row" }, element("span", { class: `dot ${colour(number)}` }), visible(key)),
      element("td", {}, element("code", { text: visible(error ?? value), class: error ? "bad" : "" })))));
    by("no-variants").hidden = flag.variants.length > 0;
    by("metadata").textContent = flag.metadata === null ? "" : pretty(visible(flag.metadata));
    by("metadata-part").hidden = flag.metadata === null;
    this.words(null);
    this.population(new Map(), 0, 1);
  }

  answer({ value, variant, reason, error, message, rule, number }) {
    by("value").textContent = value === null ? "the caller's default" : pretty(visible(value));
    by("value").className = value === null ? "none" : "";
    by("variant").textContent = variant === null ? "none" : visible(variant);
    by("variant-dot").className = `dot ${variant === null ? "none" : colour(number)}`;
    by("reason").textContent = reason;
    by("rule").textContent = rule === null ? "none" : String(rule);
    by("error-part").hidden = error === null;
    by("error").textContent = error === null ? "" : `${error}: ${visible(message ?? "no message")}`;
  }

  /** What the server said to the trace; null as long as it has not. */
  words(told) {
    if (told === null) say("agrees", "Asking the server", "agrees");
    else say("agrees", told.agrees ? "Server agrees" : "Server differs", told.agrees ? "agrees yes" : "agrees no");
    by("difference").hidden = told?.server === undefined;
    by("server-says").textContent = told?.server ?? "";
    by("why").replaceChildren(...(told === null ? [] : lines(told.text)));
    by("why-part").hidden = told === null;
    by("bars-part").hidden = !told?.bars.length;
    by("bars").replaceChildren(...(told?.bars ?? []).map(bar));
  }

  /** Without the server's words, and why. */
  silent(why) {
    this.words(null);
    say("agrees", why, "agrees off");
  }

  /** The attribute to vary: what was chosen, else the first that the context has of those that are bucketed. */
  varied(context) {
    const [names] = this.flag.varies;
    const proposed = names?.find((name) => context.has(name)) ?? (names?.includes("targetingKey") === false
      ? names[0] : "targetingKey");
    const name = this.chosen.get(this.flag.key) ?? proposed;
    if (by("vary").value !== name) by("vary").value = name;
    const count = Math.min(MOST_PEOPLE, Math.max(1, Math.trunc(by("people").value) || 1));
    return { name, prefix: by("prefix").value, count };
  }

  population(counts, done, count) {
    const places = new Map(this.flag.variants.map(([key], number) => [key, number]).reverse()); // the first of a name
    const rows = [...counts].sort(([one], [other]) => (places.get(one) ?? 1e9) - (places.get(other) ?? 1e9));
    by("split").replaceChildren(...rows.map(([answer, number]) => {
      const fill = element("div", { class: `fill ${answer === DEFAULT ? "none" : colour(places.get(answer))}` });
      fill.style.width = `${100 * number / done}%`;
      return element("tr", { "data-answer": answer, "data-count": number },
        element("th", { scope: "row", text: visible(answer) }),
        element("td", { class: "track" }, fill),
        element("td", { class: "number", text: number.toLocaleString("en") }),
        element("td", { class: "number", text: percent(number / done) }));
    }));
    by("progress").value = done / count;
    by("progress").classList.toggle("done", done === count || done === 0);
    by("split").dataset.done = done === count ? String(count) : "";
  }
}

function lines(text) {
  const all = text.split("\n");
  return all.flatMap((line, number) => {
    const [, mark, outcome] = /^([> ]) +(yes|no|unknown|done) /.exec(line) ?? [];
    const kind = outcome ? `check ${outcome}` : /^ /.test(line) ? "note" : /: (decides|does not decide)$/.test(line)
      ? "section" : "head";
    const end = number < all.length - 1 ? "\n" : "";
    return element("span", { class: mark === ">" ? `${kind} settles` : kind, text: line + end });
  });
}

function bar({ of, bucket, position, parts }) {
  const track = element("div", { class: "range", role: "img" });
  const inside = parts.find(([from, to]) => position !== null && from <= position && position < to);
  for (const each of parts) {
    const [from, to, label] = each, title = `${visible(label)}: ${percent(from)} to ${percent(to)}`;
    const part = element("div", { class: `part ${colourOf(each)}`, title });
    part.style.left = `${100 * from}%`;
    part.style.width = `${100 * (to - from)}%`;
    if (to - from > 0.08) part.append(element("span", { text: visible(label) }));
    track.append(part);
  }
  let words = "No bucket: a part of what is hashed is missing.";
  if (position !== null) {
    const marker = element("div", { class: "marker" }), where = visible(inside?.[2] ?? NOWHERE[1]);
    marker.style.left = `${100 * position}%`;
    track.append(marker);
    words = `Bucket ${bucket.toLocaleString("en")} lies at ${(100 * position).toFixed(3)}%, in ${where}.`;
  }
  track.setAttribute("aria-label", words);
  const legend = parts.slice(0, MOST_LEGEND).map((each) => element("li", {},
    element("span", { class: `dot ${colourOf(each)}` }), `${visible(each[2])} ${percent(each[1] - each[0])}`));
  if (parts.length > MOST_LEGEND) legend.push(element("li", { text: `and ${parts.length - MOST_LEGEND} more` }));
  return element("figure", { class: "bar" },
    element("figcaption", {}, "Hash of ", element("code", { text: visible(of) })), track,
    element("p", { class: "words", text: words }),
    element("ul", { class: "legend" }, ...legend));
}
