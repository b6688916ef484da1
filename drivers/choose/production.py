"""What runs a candidate in production: a command line, and Python lines that need no fmbench and give its vectors."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from fmbench.command_line import CommandLine, command_line, split_key
from fmbench.encoder import Encoder, Role
from fmbench.encoder.compute import BULK
from fmbench.encoder.steps import Normalise
from fmbench.source import named_folder
from fmbench.torch_settings import VARIABLES

from .arguments import ModelCommand, model_parser

POOLED = {"mean": "(hidden * mask).sum(axis=1) / mask.sum(axis=1)", "cls": "hidden[:, 0]"}
UNIT = "vectors / np.linalg.norm(vectors, axis=1, keepdims=True)"
TEXTS: dict[Role, str] = {"query": '["a question"]', "passage": '["a passage", "another one"]'}
NAMES: dict[Role, str] = {"query": "queries", "passage": "passages"}
NUMPY = "import numpy as np\n"  # with which both what runs the graph and what is around it begin
SPINS = "# Raced with {} in the environment, which counts where it is set before torch is imported."
WIDE = """
# Behind the transformer all is in float32, as in fmbench.encoder: what is normalised in fewer bits has no norm of 1.
model[0].register_forward_hook(lambda *found: found[-1] | {"token_embeddings": found[-1]["token_embeddings"].float()})
for module in list(model)[1:]:
    module.float()
"""
NONE = "# No lines for other programs: {}; fmbench.encoder.Encoder runs it.\n"
GRAPH = """\
import numpy as np
from transformers import AutoTokenizer
{run}

tokenizer = AutoTokenizer.from_pretrained({folder!r})
tokenizer.padding_side = "right"


def tokens_of(texts, prompt, longest, **padding):
    texts = [prompt + text for text in texts]
    return tokenizer(texts, truncation=longest is not None, max_length=longest, **padding)


def pool(hidden, batch):
    mask = batch["attention_mask"][..., None]
    vectors = {pooled}
{further}    return vectors


# One batch. Of a short text, fmbench.encoder makes tokens without what transformers does around the tokenizer.
def encode(texts, prompt, longest):
    batch = tokens_of(texts, prompt, longest, padding=True, return_tensors="np")
    return pool(run(batch), batch)


# In bulk: batches of texts that are about as long, of {tokens} tokens with padding.
def encode_all(texts, prompt, longest):
    rows, parts = tokens_of(texts, prompt, longest), [[]]
    lengths = [len(row) for row in rows["input_ids"]]
    for place in np.argsort(lengths, kind="stable").tolist():
        if parts[-1] and (len(parts[-1]) + 1) * lengths[place] > {tokens}:
            parts.append([])
        parts[-1].append(place)
    picked = ({{name: [rows[name][place] for place in part] for name in rows}} for part in parts)
    vectors = run_all((tokenizer.pad(part, return_tensors="np") for part in picked), pool)
    return np.concatenate(vectors)[np.argsort(np.concatenate(parts))]


"""


def renamed(text: str, file: Path, kept: Path) -> str:
    """Return words of a command line that name a file by its copy."""
    if str(file) not in text:
        return text
    return shlex.join(str(kept) if word == str(file) else word for word in shlex.split(text))


def command_of(
    arguments: ModelCommand | None, tokens: int | None, dataset: Path | None, split: str, others: int | None = None
) -> str | None:
    """Return the command that encodes and judges the data set with a candidate's command line; None without either.

    `tokens` a batch are what it raced and was judged with, `others` the documents without a judgement that the choice
    kept; None for all.
    """
    if arguments is None or dataset is None:
        return None
    own = command_line(arguments.given, model_parser().flags)
    if tokens is not None:
        own = own.with_(CommandLine.parse(["--tokens_per_batch", str(tokens)], ()))
    part = [] if others is None else ["--other_documents", str(others)]
    words = [*own.masked().words, "--dataset", str(dataset), "--split", split, *part]
    return f"fmbench retrieve evaluate {shlex.join(words)}"


def files_of(arguments: ModelCommand | None, others: Sequence[Path]) -> list[str]:
    """Return which files and folders command and program name by where they lie from here: the model, and others.

    What is in the hub, or is named from the root, is found from anywhere.
    """
    if arguments is None:
        return []
    own = [value for name, value in arguments.given if name.startswith("platform:") and Path(value).suffix]
    found = [arguments.model_root or arguments.model_name, str(named_folder(arguments)), *own, *map(str, others)]
    return list(dict.fromkeys(one for one in found if not Path(one).is_absolute() and Path(one).exists()))


def program_of(encoder: Encoder, threads: int) -> str:
    """Return Python lines that compute a candidate's `queries` and `passages`, or a comment on why there are none.

    The candidate has run, with so many threads of torch.
    """
    recipe, platform = encoder.recipe, encoder.platform
    platform.streams(BULK)  # the lines of bulk have them, whether or not so much ran here
    run, fault = platform.attempt("program")
    if fault is not None:
        return NONE.format(fault)
    if recipe.include_prompt is False and (recipe.query_prompt or recipe.passage_prompt):
        return NONE.format("prompts are not pooled")
    if encoder.sparse:
        return NONE.format("the model is sparse")
    if run is not None:
        return graph_program(encoder, run)
    if platform.always_compiles or not platform.runs_torch:
        return NONE.format(f"nothing that --platform {platform.name} made is kept in files")
    return torch_program(encoder, threads)


def graph_program(encoder: Encoder, run: str) -> str:
    """Return the lines around a graph that ends at the last hidden states."""
    recipe, further = encoder.recipe, [UNIT for _ in encoder.steps]
    pooling = ",".join(recipe.pooling or ())
    if any(not isinstance(step, Normalise) for step in encoder.steps):
        return NONE.format("the model's folder has layers behind the pooling")
    if pooling not in POOLED:
        return NONE.format(f"the pooling is {pooling}")
    if recipe.truncate_dim is not None:
        further.append(f"vectors[:, :{recipe.truncate_dim}]")
    if recipe.normalise:
        further.append(UNIT)
    settled = encoder.budget("passage")
    head = GRAPH.format(
        run=run.removeprefix(NUMPY),
        folder=folder_of(encoder),
        pooled=POOLED[pooling],
        further="".join(f"    vectors = {one}\n" for one in further),
        tokens=settled.tokens if settled else encoder.platform.tokens_per_batch,
    )
    return head + "".join(
        f"{name} = encode{'_all' * (role == 'passage')}({TEXTS[role]}, {recipe.prompt(role) or ''!r}, "
        f"{recipe.max_length(role)})\n"
        for role, name in NAMES.items()
    )


def torch_program(encoder: Encoder, threads: int) -> str:
    """Return the lines of sentence-transformers, which reads the same folder."""
    arguments, recipe = encoder.arguments, encoder.recipe
    said = getattr(arguments, "recipe", None)
    if said is not None and (said.pooling or said.normalise is False):
        return NONE.format("the command line pools, or normalises, in another way than the model's folder")
    model, compiler = (options_of(encoder, name) for name in ("model", "compile"))
    loaded = {"device": repr(str(encoder.platform.device or "cpu")), "truncate_dim": str(recipe.truncate_dim)}
    loaded["model_kwargs"] = "{" + ", ".join(f"{key!r}: {value}" for key, value in model.items()) + "}"
    spins = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    lines = [
        *([SPINS.format(" ".join(spins))] if spins and encoder.platform.device is None else []),
        "import torch",
        *(f"import {name}" for name in ("transformers", "torchao") if f"{name}." in loaded["model_kwargs"]),
        "from sentence_transformers import SentenceTransformer",
        "",
        f"torch.set_num_threads({threads})",
        f"model = SentenceTransformer({folder_of(encoder)!r}, {with_names(loaded)})",
        *([f"model[0].auto_model.compile({with_names(compiler)})"] if arguments.compile else []),
        *([] if encoder.facts["dtype"] == "float32" else WIDE.splitlines()),
    ]
    for role, name in NAMES.items():
        asked = {"prompt": repr(recipe.prompt(role) or ""), "normalize_embeddings": str(bool(recipe.normalise))}
        longest = f"model.max_seq_length = {recipe.max_length(role)}"
        lines += [
            *([] if longest in lines else [longest]),
            f"{name} = model.encode({TEXTS[role]}, {with_names(asked)})",
        ]
    return "\n".join(lines) + "\n"


def with_names(values: dict[str, str]) -> str:
    """Return keyword arguments."""
    return ", ".join(f"{key}={value}" for key, value in values.items())


def options_of(encoder: Encoder, name: str) -> dict[str, str]:
    """Return what the command line says below `--model:` or `--compile:`, as Python has it: one key deep."""
    found = {}
    for option, value in encoder.arguments.given:
        (first, *keys), evaluated = split_key(f"--{option}")
        if first == name and len(keys) == 1:
            found[keys[0]] = value if evaluated else repr(value)
    return found


def folder_of(encoder: Encoder) -> str:
    """Return the model's folder as it was typed, or its name in the hub."""
    path = named_folder(encoder.arguments)
    return str(path) if path.is_dir() else encoder.arguments.model_name
