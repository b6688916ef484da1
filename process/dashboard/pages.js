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
