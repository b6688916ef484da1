"""`fmbench fidelity COMMAND ...`: what a new torch, dtype, kernel or device does to a model's numbers and rankings."""

from fmbench.subcommands import Subcommand, Subcommands

PACKAGE = "fmbench.drivers.fidelity"

main = Subcommands(
    "fmbench fidelity",
    "Is it still the same? What a new torch, dtype, kernel or device does to a model's numbers and rankings.",
    {
        "bisect": Subcommand(
            "name the first module that computes something else on the same input", f"{PACKAGE}.bisect:main"
        ),
        "capture": Subcommand(
            "keep what a model computes, from tokens to rankings, in a folder", f"{PACKAGE}.capture:main"
        ),
        "compare": Subcommand(
            "compare two captures: what is equal, what is close, and the first artifact that is neither",
            f"{PACKAGE}.compare:main",
        ),
        "ladder": Subcommand("what `fmbench choose` was called", "fmbench.drivers.choose.choose:ladder"),
        "matrix": Subcommand(
            "capture with several versions of a library, and compare each with the next", f"{PACKAGE}.matrix:main"
        ),
        "probes": Subcommand("list what a capture can hold", f"{PACKAGE}.probe:main"),
        "swap": Subcommand(
            "search an older capture's index with this code, to tell index drift from search drift",
            f"{PACKAGE}.swap:main",
        ),
    },
).main
