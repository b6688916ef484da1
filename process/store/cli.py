"""`fmbench results COMMAND ...`: keep logs and results, find them again, ask them questions."""

from fmbench.subcommands import Subcommand, Subcommands

from .arguments import PROGRAM

PACKAGE = "fmbench.process.store"

DESCRIPTION = """\
Keep logs with their results, find them again, ask them questions.

a store:
  A folder, or a URL such as s3://bucket/results (the extra remote), named with --store; ./results if not.
  One entry a log: MACHINE/RUN/driver.log.gz, results.json (what `process` makes of the log) and environment.json (the
  facts of the run, and the digests of the files). MACHINE is named after the hardware that the log speaks of, RUN
  after its time, its driver and its content. Other commands read it as it is: fmbench show results/"""

main = Subcommands(
    PROGRAM,
    DESCRIPTION,
    {
        "add": Subcommand("keep logs, each packed and with its results", f"{PACKAGE}.keep:add_logs"),
        "list": Subcommand("a row an entry: where, when, what, how many results", f"{PACKAGE}.look:list_entries"),
        "show": Subcommand(
            "the results of entries as a table, or the medians of groups", f"{PACKAGE}.look:show_entries"
        ),
        "query": Subcommand("ask in SQL", f"{PACKAGE}.look:query"),
        "export": Subcommand(
            "the results as a Parquet data set that Spark, Trino and DuckDB read", f"{PACKAGE}.look:export_results"
        ),
        "check": Subcommand("is every file what it was?", f"{PACKAGE}.keep:check"),
        "remove": Subcommand("remove one entry", f"{PACKAGE}.keep:remove"),
    },
).main
