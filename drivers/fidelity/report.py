"""A comparison as Markdown."""

from fmbench.markdown import markdown, plain

from .comparison import Comparison
from .tables import Table, agreement_table, facts_text, headline, own_drifts, ranking_table, tensor_table

NOTES = """\
close: |a - b| <= atol + rtol |b|, by type: float32 1e-6 and 1e-5, bfloat16 1e-3 and 1e-2, float16 1e-4 and 1e-3, of two
types the narrower one's, integers exactly; or as --atol and --rtol say. ULP: units in the last place. The average
number of different ids is that of the symmetric difference: one replaced id counts 2. p: paired randomisation test
over queries.
"""


def as_markdown(found: Comparison, names: tuple[str, str]) -> str:
    """Return Markdown for a pull request: the headline, the seed's two tables, and every tensor."""
    parts = [f"### Fidelity: {plain(names[1])} against {plain(names[0])}\n", f"**{plain(headline(found))}**\n"]
    if found.facts:
        parts.append(f"Facts that differ: {plain(facts_text(found.facts))}.\n")
    tables = (
        ("Tensors, by probe", agreement_table(names, found.rows)),
        ("Rankings", ranking_table(own_drifts(names, found))),
        ("Tensors, in execution order", tensor_table(found.rows)),
    )
    parts += [section(title, table) for title, table in tables if table.lines]
    return "\n".join([*parts, NOTES])


def section(title: str, table: Table) -> str:
    """Return a table with its title."""
    return f"#### {title}\n\n{markdown(table.header, table.lines, table.right)}"
