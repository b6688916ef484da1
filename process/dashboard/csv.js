// A spreadsheet takes a text that begins so for a formula. A number may begin with a sign.
const FORMULA = /^[=+\-@\t\r\n]/;
const PLAIN_NUMBER = /^[+-]?[0-9.]+$/;

/** Rows as CSV: the columns of `process --format csv`, in its order. */
function csvOf(shapes, rows) {
  const columns = shapes.names.map((name) => shapes.column(name));
  const lines = rows.map((row) => columns.map((column) => csvCell(column[row])).join(","));
  return [shapes.names.map(csvCell).join(","), ...lines, ""].join("\n");
}

/** A cell: nothing for null, quotes where they are needed, an apostrophe before what would be a formula. */
function csvCell(value) {
  if (value === null) return "";
  const text = String(value);
  const safe = typeof value === "string" && FORMULA.test(text) && !PLAIN_NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Have the browser save a text as a file. */
function save(text, name, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
