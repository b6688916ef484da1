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
        "mine": Subcommand("find hard negatives for training", f"{PACKAGE}:mine"),
    },
).main
