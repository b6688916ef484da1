"""`fmbench retrieve TASK ...`: does a model still retrieve, and how fast, on this platform?"""

from fmbench.subcommands import Subcommand, Subcommands

PACKAGE = "fmbench.drivers.retrieve.tasks"

main = Subcommands(
    "fmbench retrieve",
    "Does a model still retrieve, and how fast, on one platform?",
    {
        "encode": Subcommand("encode a corpus and its queries into an embedding cache", f"{PACKAGE}:encode"),
        "search": Subcommand("find the k nearest documents of every query, exactly", f"{PACKAGE}:search"),
        "evaluate": Subcommand("how good the rankings are (nDCG, recall, ...) and how fast", f"{PACKAGE}:evaluate"),
        "precision": Subcommand(
            "the precision@k curve of a file of page titles", "fmbench.drivers.retrieve.precision:precision"
        ),
        "fuse": Subcommand("one ranking of several, by reciprocal ranks", "fmbench.drivers.retrieve.fusion:fusion"),
        "mine": Subcommand("find hard negatives for training", f"{PACKAGE}:mine"),
    },
).main
