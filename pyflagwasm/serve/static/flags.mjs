// The list of flags: filter, selection, and what each answers to the context as it is typed.
import { by, counted, element, rules, visible } from "./dom.mjs";

const MOST_ROWS = 2000, MOST_VALUE = 160;

export class FlagList {
  /** select: called with the flag that is chosen. */
  constructor(select) {
    this.flags = [];
    this.rows = new Map(); // by key
    this.shown = [];
    this.selected = null;
    this.select = select;
    this.list = by("flags");
    this.filter = by("filter");
    this.filter.addEventListener("input", () => this.show());
    for (const each of [this.filter, this.list]) each.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.choose(row.dataset.key);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
      event.preventDefault();
      this.filter.select();
    });
  }

  /** Another configuration. The selection stays if the flag does. */
  load(flags, wanted) {
    this.flags = flags;
    this.rows = new Map(flags.map((flag, number) => [flag.key, new Row(flag, number)]));
    this.show();
    const found = [this.selected, wanted, this.shown[0]?.key].find((key) => this.rows.has(key)) ?? null;
    this.selected = null;
    if (found === null) this.select(null);
    else this.choose(found);
  }

  answers(outcomes) {
    outcomes.forEach((outcome, number) => this.rows.get(this.flags[number].key).answer(outcome));
    if (this.filter.value.trim()) this.show();
  }

  show() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.flags.filter(({ key }) => words.every((word) => this.rows.get(key).words.includes(word)));
    this.shown = found.slice(0, MOST_ROWS);
    const rows = this.shown.map(({ key }) => this.rows.get(key).element);
    if (rows.length !== this.list.children.length || rows.some((row, at) => row !== this.list.children[at]))
      this.list.replaceChildren(...rows);
    const all = counted(this.flags.length, "flag");
    const many = found.length > MOST_ROWS ? `the first ${MOST_ROWS.toLocaleString("en")} of ` : "";
    by("count").textContent = words.length ? `${many}${found.length.toLocaleString("en")} of ${all}` : `${many}${all}`;
    by("no-match").hidden = found.length > 0 || !this.flags.length;
    by("no-flags").hidden = this.flags.length > 0;
    this.mark();
  }

  choose(key) {
    if (key !== this.selected) {
      this.selected = key;
      this.select(this.rows.get(key).flag);
    }
    this.mark();
  }

  mark() {
    for (const old of this.list.querySelectorAll("[aria-selected=true]")) old.setAttribute("aria-selected", "false");
    const row = this.rows.get(this.selected)?.element;
    if (!row?.isConnected) return this.list.removeAttribute("aria-activedescendant");
    row.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", row.id);
  }

  key(event) {
    const inFilter = event.target === this.filter, last = this.shown.length - 1;
    const at = this.shown.findIndex(({ key }) => key === this.selected);
    const to = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), PageDown: Math.min(at + 10, last),
      PageUp: Math.max(at - 10, 0), ...(inFilter ? { Enter: at < 0 ? 0 : at } : { Home: 0, End: last }) }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.choose(this.shown[to].key);
    this.rows.get(this.selected).element.scrollIntoView({ block: "nearest" });
  }
}

class Row {
  constructor(flag, number) {
    this.flag = flag;
    this.number = number;
    this.last = null;
    this.words = "";
  }

  get element() { // made when it is first shown
    return this.made ??= this.make();
  }

  make() {
    const { key, type, problem } = this.flag;
    this.value = element("span", { class: "value" });
    this.variant = element("span", { class: "variant" });
    this.reason = element("span", { class: "reason" });
    const about = [type, rules(this.flag)].filter(Boolean).join(" · ");
    const made = element("li", { role: "option", id: `flag-${this.number}`, "aria-selected": "false", "data-key": key },
      element("div", {}, element("span", { class: "key", text: visible(key), title: visible(key) }), this.value),
      element("div", {},
        element("span", { class: "about" }, element("span", { text: about }), " ",
          problem === null ? null : element("span", { class: "tag bad", text: "broken", title: visible(problem) })),
        element("span", { class: "how" }, this.variant, this.reason)));
    if (this.last) this.paint(made);
    return made;
  }

  answer(outcome) {
    const { value, variant, reason, error } = outcome, now = JSON.stringify([value, variant, reason, error]);
    if (now === this.last?.text) return;
    const first = this.last === null;
    this.last = { ...outcome, text: now };
    this.words = [this.flag.key, this.flag.type, variant, reason, error, value?.slice(0, MOST_VALUE),
      this.flag.problem === null ? "" : "broken"].join(" ").toLowerCase();
    if (!this.made) return;
    this.paint(this.made);
    if (!first) this.made.animate?.([{ background: "var(--flash)" }, {}], { duration: 700 });
  }

  paint(made) {
    const { value, variant, reason, error } = this.last;
    this.value.textContent = value === null ? "default" : visible(value.slice(0, MOST_VALUE));
    this.value.className = value === null ? "value none" : "value";
    this.variant.textContent = variant === null ? "" : visible(variant);
    this.reason.textContent = error ?? reason;
    this.reason.className = error ? "reason bad" : "reason";
    made.classList.toggle("disabled", reason === "DISABLED");
  }
}
