"""The fields that lines of every driver have, and every row."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .schema import (
    Field,
    Schema,
    anything,
    choice,
    constant,
    count,
    number,
    numbers_by_name,
    part,
    parts,
    seconds,
    text,
    texts,
    time,
    truth,
    whole,
)  # fmt: skip
from .shape import Place

SCHEMA_VERSION = 1
STATUSES = ("OK", "PARTIAL", "ERR", "SIMULATED")
PLACE: dict[str, Field] = {
    "input_size": replace(count("Tokens a sequence."), binding=True),
    "batch_size": replace(count("Sequences a batch."), binding=True),
    "variant": replace(text("In a run that compares variants, which one: A, B and so on."), binding=True),
}
FACTS = Schema({
    "fmbench": text("Version of what measured."),
    "platform": text("The back end."),
    "device": text("What computed."),
    "model": text("Model name."),
    "model_class": text("The class that was built."),
    "weights": text("Where they come from, or `random`."),
    "dtype": text("Type of the weights."),
    "precision": text("What was really computed in, where the platform says so."),
    "task": text("Which task of the driver."),
    "timed": text("What lies between the two readings of the clock."),
    "model_digest": anything(
        "sha256 of the whole model: of the digests of its parts. In logs of the first versions, of the weights alone."
    ),
    "model_parts": anything(
        "The sha256 of each part: `weights`, `configuration`, `code` (under `trust_remote_code`), `tokenizer`, "
        "`modules`; null where the model has none."
    ),
    "variables": anything("Environment variables that decide a figure, where they are set; of paths, the last name."),
    "torch_settings": anything(
        "What decides how torch computes, as it really is: `float32_matmul_precision`, `deterministic_algorithms`, ..."
    ),
    "passages": count("Passages that set-ups or builds are compared by."),
    "queries": count("Queries, likewise."),
    "data": anything("By name of a data set: sha256 of `corpus`, `queries` and `judgements`, as they are used."),
    "query_models": anything("sha256 of each student's folder, in a log of `fmbench distill evaluate`."),
}, open=True)  # fmt: skip
PHASE = Schema({
    "name": text("What was done.", needed=True),
    "seconds": seconds("How long it took.", needed=True),
    "inside": text("The repetition that it was a part of, and that is longer for it."),
    "dataset": text("Of the retrieval driver: the data set that it belongs to."),
    "role": text("Of an encoder's phase: `query` or `passage`."),
    "tokens_per_batch": count("Of the search of a token budget: the one that was chosen."),
    "tokens_per_second": numbers_by_name("Of the same: tokens a second, padding not counted, by budget."),
})  # fmt: skip
FAILURE = Schema({
    "type": text("Name of the exception."),
    "message": text("First line of its text."),
    "out_of_memory": truth("Whether memory ran out."),
    "where": text("File and line that raised it."),
    "signal": text("With `--isolate`: the signal that killed the shape's process."),
})  # fmt: skip
CELL = Schema({
    "sweep": text("Name of the sweep.", needed=True),
    "id": text("A digest of the command and its arguments, whatever their order.", needed=True),
    "run": text("The command: `driver`, `retrieve evaluate`, ...", needed=True),
    "start": time("When its process started, in seconds since the epoch."),
    "seconds": seconds("From the start of its process to its end.", needed=True),
    "inputs": anything("Of what it read beside its model, where no other line tells: sha256 by file or folder."),
    "outputs": anything("Where it ended well, of what it wrote: sha256 by file or folder, null for nothing."),
    "exit_code": whole("Its exit code; below zero for a signal that ended it. Null where its time was over."),
    "refused": truth("Whether it was not run at all: the ERR line says why."),
    "resumed": truth("Whether it went on with what an earlier run left: `start` and `seconds` are of the rest."),
}, "The last line of a log that `fmbench sweep` kept: which cell of which sweep it is of.")  # fmt: skip
CELL_FILES = ("inputs", "outputs")  # of these, nothing is in a row
CORE: dict[str, Schema] = {
    "ENV": Schema({"variant": PLACE["variant"], **FACTS.fields}),
    "PHASE": Schema({**PHASE.fields, **PLACE}),
    "ERR": Schema({**PLACE, **FAILURE.fields}),
    "CELL": CELL,
}
# Every row has these keys, in this order; the first fifteen are what dashboards read. None stands for a section that
# a workload of ours describes, and has in its rows alone.
ROW: dict[str, Field | None] = {
    "timestamp": time(
        "Start of the first repetition in seconds, nine decimals, as the log prints it: since the epoch in the logs of "
        "fmbench. A string, because a double does not hold all its digits. Null where no repetition ran."
    ),
    "metadata_id": text("The text given with --metadata_id."),
    "engine": text("What produced the figures."),
    "model": text("Model name."),
    "precision": text("What was computed in, where the platform says so, else the type of the weights."),
    "input": whole("Tokens a sequence. Null where a killed run left no line that says it."),
    "output": constant("Outputs a sequence: one embedding.", 1),
    "batch": whole("Sequences a batch. Null where a killed run left no line that says it."),
    "tp": constant("Devices that the model is split over.", 1),
    "opts": texts("The arguments of this run, as its log prints them: `--key value`."),
    "warmup": seconds(
        "The shape's own one-off phases (compile, deploy), summed; those of the run are not in it. Null where it has "
        "none. See phases."
    ),
    "setup": seconds(
        "Loading the model and wrapping it for compilation, once a run; in an A/B run, for this variant."
    ),
    "ttft": number("Time to the first token: encoders have none."),
    "itl": number(
        "Latency a batch. The median repetition after the first fifth (one at least) is left out. From the RES line; "
        "where the run was killed before it, from the repetitions there are. Null where there are none, and where the "
        "shape failed.", "milliseconds",
    ),
    "thp": number("Throughput: sequences a second, the batch size over that median."),
    "model_class": text("Class of the transformers library."),
    "status": choice(
        "OK: measured. PARTIAL: the log ends before the result. ERR: it failed, see error. SIMULATED: measured, or in "
        "part, on a platform whose figures are not those of the hardware.", *STATUSES,
    ),
    "statistics": None,
    "memory": None,
    "energy": None,
    "roofline": None,
    "environment": part(
        "Facts of the run: versions, device, threads, what is timed; in an A/B run, those of this variant. Facts "
        "differ between platforms. Null where the log has none.", FACTS,
    ),
    "schema": replace(count("Version of this record."), json={"const": SCHEMA_VERSION}),
    "variant": text("In an A/B run, which variant this is: A, B and so on. Null in every other run."),
    "pair": None,
    "phases": parts(
        "One-off phases in order: those of the run (import, load), then the shape's own (compile, deploy); of the "
        "retrieval driver, those of the data set. Further keys say more of one.", PHASE,
    ),
    "error": part(
        "Why it failed; further keys are what the driver knew besides. Null for every other status.", FAILURE
    ),
    "retrieval": None,
    "distillation": None,
    "processes": None,
    "doubt": text(
        "Why the row should not be believed: what its log says twice does not agree (mixed, lost, contradicted), or a "
        "field of it was refused (damaged). Null for a sound log."
    ),
    "machine": text(
        "Name of the machine that measured, as a store has it: its device or processor and a digest of all facts of "
        "its hardware. Null where the log has none. The architecture is environment.machine."
    ),
    "overrides": text(
        "In an A/B run, what the command line of this variant has besides that of A. Null for A itself and in every "
        "other run."
    ),
    "fidelity": None,
    "workload": text("What was measured: the workload that the row is of, and the key of its section.", needed=True),
    "configuration": text(
        "What the figures are figures of: a short id of the model, the precision really computed in, the platform, "
        "compiler, options, threads, library versions and machine. The same in the logs of every driver. Null where "
        "the log does not say what computed it."
    ),
    "cell": part("Which cell of which sweep the run was, and how it ended. Null outside of a sweep.",
                 CELL.without(*CELL_FILES)),
}  # fmt: skip


def place_of(data: Mapping[str, Any]) -> Place:
    """Return the sizes and the variant that a line names, as far as it does."""
    return data.get("input_size"), data.get("batch_size"), data.get("variant")


def without_place(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a line says besides its sizes and its variant, which its shape has."""
    return {key: value for key, value in data.items() if key not in PLACE}
