"""`fmbench distill STEP ...`: a small query encoder beside a large passage encoder."""

from fmbench.subcommands import Subcommand, Subcommands

PACKAGE = "fmbench.drivers.distill"

main = Subcommands(
    "fmbench distill",
    "A small query encoder beside a large passage encoder: queries cost less, and the index stays as it is.",
    {
        "teacher": Subcommand(
            "encode training queries, and texts that stand in for queries, with the passage model",
            f"{PACKAGE}.steps:teacher",
        ),
        "align": Subcommand("train a student to put a query where the teacher puts it", f"{PACKAGE}.steps:align"),
        "contrast": Subcommand(
            "train it on, to prefer a query's own passage to hard negatives", f"{PACKAGE}.steps:contrast"
        ),
        "evaluate": Subcommand(
            "quality kept and latency won, against the teacher in one run", f"{PACKAGE}.steps:evaluate"
        ),
        "frontier": Subcommand(
            "one table and one plot of many students: quality kept against speed-up", "fmbench.process.frontier:main"
        ),
    },
).main
