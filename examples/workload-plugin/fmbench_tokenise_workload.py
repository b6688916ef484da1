"""The reading half: what a TOK line is, and the row that becomes of it."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import ClassVar

from fmbench.process.workload import Column, Finding, Gauge, Plot, Result, Row, Run, Schema, Workload, schema

FIELDS = {
    "length": schema.count("Words a text.", needed=True),
    "texts": schema.count("Texts a pass.", needed=True),
    "tokens": schema.count("Tokens of these."),
}
TOK = Schema(
    {
        **FIELDS,
        "start": schema.time("When it began."),
        "nanoseconds": schema.counts("What each pass took.", "nanoseconds", needed=True),
    }
)
SECTION = Schema(
    {
        **FIELDS,
        "tokens_per_second": schema.number("By the median pass."),
    },
    "How fast texts become tokens.",
    open=True,
)


def rate(row: Row) -> Finding | None:
    """Return texts a second, for the line of its configuration; only those of one length stand in one column."""
    length = row["tokenisation"]["length"]
    return Finding(row["thp"], of=f"{length} words", weight=length) if row["thp"] else None


class Tokenisation(Workload):
    """A row a length."""

    name: ClassVar[str] = "tokenisation"
    engine: ClassVar[str] = "fmbench-tokenise"
    kinds: ClassVar[Mapping[str, Schema]] = {"TOK": TOK}
    sections: ClassVar[Mapping[str, Schema]] = {"tokenisation": SECTION}
    gauges: ClassVar[Sequence[Gauge]] = (
        Gauge("tokenised", "tokens_per_second", "Tokens a second.", "tokenisation.tokens_per_second"),
    )
    labels: ClassVar[Mapping[str, str]] = {"length": "tokenisation.length"}
    columns: ClassVar[Sequence[Column]] = (Column("tokenised", "tokenised texts/s", rate),)

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a length."""
        row = self.row(run, metadata_id)
        for line in run.lines_of(self.name):
            said, seconds = line.data, median(line.data["nanoseconds"] or [0]) / 1e9
            tokens = said.get("tokens")
            known = {key: said.get(key) for key in FIELDS}
            yield Result(
                {
                    **row,
                    "timestamp": said.get("start"),
                    "model": (row["environment"] or {}).get("model"),
                    "input": said["length"],
                    "batch": said["texts"],
                    "itl": seconds * 1e3 if seconds else None,
                    "thp": said["texts"] / seconds if seconds else None,
                    "tokenisation": {**known, "tokens_per_second": tokens / seconds if tokens and seconds else None},
                },
                source,
                said["nanoseconds"],
            )

    def label(self, row: Row) -> str:
        """Return the length."""
        return f"{row['tokenisation']['length']} words"

    def plots(self) -> Mapping[str, Plot]:
        """Return one picture: texts a second over lengths."""
        from fmbench.process.plots import canvas

        def texts_per_second(results):
            made, (axes,) = canvas.figure("Tokenisation", "texts a second")
            places = sorted((result.row["tokenisation"]["length"], result.row["thp"]) for result in results)
            axes.plot(*zip(*places, strict=True), marker="o")
            axes.set_xlabel("words a text")
            return made

        return {"tokenisation": texts_per_second}
