"use strict";

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
