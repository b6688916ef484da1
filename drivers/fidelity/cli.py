"""`fmbench fidelity COMMAND ...`: what a new torch, dtype, kernel or device does to a model's numbers and rankings."""

from fmbench.subcommands import Subcommand, Subcommands

PACKAGE = "fmbench.drivers.fidelity"

main = Subcommands(
    "fmbench fidelity",
    "Is it still the same? What a new torch, dtype, kernel or device does to a model's numbers and rankings.",
    {
        "compare": Subcommand(
            "compare two captures: what is equal, what is close, and the first artifact that is neither",
            f"{PACKAGE}.compare:main",
        ),
    },
).main
