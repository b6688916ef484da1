/** Make an element. Children that are texts become text nodes: nothing in them is ever markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Make a button. */
function button(text, onclick, attributes = {}) {
  return make("button", { type: "button", ...attributes, onclick }, text);
}

/** Make a labelled <select> of [value, text] pairs. */
function choice(label, options, onchange) {
  const select = make("select", { onchange: () => onchange(select.value) });
  fill(select, options);
  return { field: make("label", { class: "field" }, make("span", {}, label), select), select };
}

/** Put [value, text] pairs into a <select>, and keep what is chosen where it is still there. */
function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  if (options.some(([value]) => String(value) === before)) select.value = before;
}

/** Make a checkbox with its label. */
function checkbox(label, onchange, attributes = {}) {
  const input = make("input", { type: "checkbox", ...attributes, onchange: () => onchange(input.checked) });
  return { field: make("label", { class: "check" }, input, make("span", {}, label)), input };
}

/** Make a table that scrolls inside its own frame, with the keyboard too. */
function framed(label, ...children) {
  return make(
    "div",
    { class: "frame", role: "region", "aria-label": label, tabindex: "0" },
    make("table", {}, ...children),
  );
}

/** Make a table of Python's: { header, lines, right }, and sentences that stand below it. */
function tableOf(label, { header, lines, right, notes }) {
  const look = header.map((_, column) => (right.includes(column) ? "number" : null));
  const head = header.map((text, column) => make("th", { scope: "col", class: look[column] }, text));
  const rows = lines.map((line) => make("tr", {}, ...line.map((text, column) => make("td", { class: look[column] }, text))));
  const below = notes.map((text) => make("p", { class: "note" }, text));
  return [framed(label, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)), ...below];
}

/** Say a number of things: 1 shape, 2 shapes. */
function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const collator = new Intl.Collator("en", { numeric: true });

/** Order two values of a column: nothing comes last, numbers by size, texts as people sort them. */
function ordered(one, other) {
  if (one === null || other === null) return (one === null) - (other === null);
  return typeof one === "number" && typeof other === "number" ? one - other : collator.compare(one, other);
}
const PAGE_SIZES = [25, 50, 100, 500];

/** A long list, a page at a time: the buttons to turn pages, and how many lines a page has. */
class Pages {
  /** `draw` is called with the items of the page that is to be seen. */
  constructor(draw) {
    this._draw = draw;
    this._items = [];
    this._page = 0;
    const sizes = PAGE_SIZES.map((size) => [size, String(size)]);
    this._size = choice("Rows a page", sizes, () => this._turn(0));
    this._size.select.value = "50";
    const turns = [
      ["First", () => 0],
      ["Previous", () => this._page - 1],
      ["Next", () => this._page + 1],
      ["Last", () => this._last],
    ];
    this._turns = turns.map(([text, to]) => button(text, () => this._turn(to())));
    this._where = make("span", { class: "where", role: "status" });
    this.field = make(
      "div",
      { class: "buttons pages", role: "group", "aria-label": "Pages" },
      ...this._turns,
      this._where,
      this._size.field,
    );
  }

  /** Show the first page of these items. */
  show(items) {
    this._items = items;
    this._turn(0);
  }

  get _last() {
    return Math.max(0, Math.ceil(this._items.length / Number(this._size.select.value)) - 1);
  }

  _turn(page) {
    this._page = Math.min(Math.max(0, page), this._last);
    const size = Number(this._size.select.value);
    const from = this._page * size;
    const some = this._items.slice(from, from + size);
    this._draw(some);
    const all = this._items.length.toLocaleString("en");
    this._where.textContent = some.length ? `${from + 1} to ${from + some.length} of ${all}` : "";
    this.field.hidden = this._items.length <= PAGE_SIZES[0];
    const [atFirst, atLast] = [this._page === 0, this._page === this._last];
    for (const [place, off] of [atFirst, atFirst, atLast, atLast].entries()) this._turns[place].disabled = off;
  }
}
