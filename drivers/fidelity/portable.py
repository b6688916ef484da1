"""A capture by a torch that is older than fmbench's own: `python portable.py JOB OUT`.

One file without an import of fmbench, in the syntax of Python 3.8: `fmbench fidelity matrix` runs it in an environment
that has torch 1.13, transformers 4.30, numpy and safetensors, or later ones. JOB is JSON of `OlderCaptures.job`. The
formulas are those of the probes of the same names: where both can run, their artifacts are equal bit for bit.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable, Iterator  # noqa: UP035 (Python 3.8)

import numpy as np
import safetensors.torch
import tokenizers
import torch
import transformers
from torch.nn.functional import linear, normalize

Named = Iterator[Any]  # (artifact's name, tensor or ranking), as a probe yields them
BUILT = {
    "cpu_capability": r"usage: (\S+)", "mkl": r"Math Kernel Library Version ([\d.]+)", "onednn": r"MKL-DNN v([\d.]+)",
}  # fmt: skip
DENSE, SAFE = ("intermediate.dense", "output.dense"), {"trust_remote_code": False}
MIXED: dict[str, Any] = {"device_type": "cpu", "dtype": torch.bfloat16}


class Model:
    """A model and its texts, as a job names them: what `fmbench.drivers.fidelity.context` is for the other probes."""

    def __init__(self, job: dict[str, Any], seed: int) -> None:
        torch.set_num_threads(job["threads"])
        torch.manual_seed(seed)
        self.job, self.seed = job, seed
        config = transformers.AutoConfig.from_pretrained(job["model"], attn_implementation=job["attention"], **SAFE)
        build = getattr(transformers, job["model_class"]).from_pretrained
        self.module = build(job["model"], config=config, **SAFE).eval()
        self.rules = {role: tokenizers.Tokenizer.from_str(rules) for role, rules in job["rules"].items()}
        size = job["dimensions"]
        self.head = torch.randn(size, config.hidden_size, generator=self.generator()) / size**0.5
        self.skipped = torch.tensor(job["skipped"], dtype=torch.int64)
        self.done: dict[str, tuple[torch.Tensor, list[torch.Tensor]]] = {}

    def facts(self) -> dict[str, Any]:
        """Return what this environment's libraries made of the job."""
        found = {name: re.search(pattern, torch.__config__.show()) for name, pattern in BUILT.items()}
        return {
            "capture": "portable", "threads": torch.get_num_threads(), "model_class": type(self.module).__name__,
            "attention": getattr(self.module.config, "_attn_implementation", "eager"),
            "dtype": ",".join(sorted({str(each.dtype).split(".")[1] for each in self.module.parameters()})),
            **{name: match and match.group(1) for name, match in found.items()},
        }  # fmt: skip

    def generator(self) -> torch.Generator:
        """Return a new source of random numbers of the job's seed."""
        return torch.Generator().manual_seed(self.seed)

    def tokenise(self, texts: list[str], role: str = "passage") -> list[list[int]]:
        """Return the token ids of texts, each after its role's prompt."""
        prompted = [self.job["prompts"][role] + text for text in texts]
        return [one.ids for one in self.rules[role].encode_batch(prompted, add_special_tokens=True)]

    def chunks(self, role: str, count: int | None = None) -> Iterator[list[list[int]]]:
        """Yield the token ids of a role's first texts, or of all, some texts at a time."""
        texts, size = self.job["texts"][role][:count], self.job["chunk"]
        for start in range(0, len(texts), size):
            yield self.tokenise(texts[start : start + size], role)

    def batches(self, role: str, count: int | None = None) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Yield positions of texts and the batch of them: sorted by length, in a budget of tokens."""
        begin = 0
        for tokens in self.chunks(role, count):
            lengths, start = np.array([len(ids) for ids in tokens]), 0
            order = np.argsort(-lengths, kind="stable")
            while start < len(order):
                rows = max(1, self.job["budget"] // max(1, int(lengths[order[start]])))
                positions = order[start : start + rows]
                yield begin + positions, self.collate([tokens[place] for place in positions])
                start += rows
            begin += len(tokens)

    def collate(self, tokens: list[list[int]]) -> dict[str, torch.Tensor]:
        """Return texts as one batch, padded on the right."""
        ids = torch.full((len(tokens), max([1, *map(len, tokens)])), self.job["padding"], dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, found in enumerate(tokens):
            ids[row, : len(found)] = torch.tensor(found, dtype=torch.int64)
            mask[row, : len(found)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return token vectors of length 1."""
        return normalize(linear(hidden.float(), self.head), dim=-1)

    def kept(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return which tokens of a batch have a vector: neither padding nor punctuation."""
        return inputs["attention_mask"].bool() & ~torch.isin(inputs["input_ids"], self.skipped)

    def encode(self, role: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the pooled vectors of a role, and each text's token vectors in float16: computed once."""
        if role not in self.done:
            count, modes = len(self.job["texts"][role]), self.job["pooling"]
            pooled = torch.empty(count, self.module.config.hidden_size * len(modes))
            found = [torch.empty(0)] * count
            for positions, inputs in self.batches(role):
                hidden, kept = self.module(**inputs).last_hidden_state, self.kept(inputs)
                pooled[positions] = pool(hidden, inputs["attention_mask"], modes)
                projected = self.project(hidden).half()
                for row, position in enumerate(positions):
                    found[position] = projected[row][kept[row]]
            self.done[role] = pooled, found
        return self.done[role]

    def normalised(self, role: str) -> torch.Tensor:
        """Return the pooled vectors as a search takes them: normalised once more than the folder does."""
        found = self.encode(role)[0]
        for _ in range(1 + self.job["normalisations"]):
            found = normalize(found, dim=-1)
        return found

    def query_vectors(self) -> Iterator[torch.Tensor]:
        """Yield each query's token vectors, filled up with mask tokens to one length."""
        length = self.job["query_length"]
        for tokens in self.chunks("query"):
            for ids in tokens:
                cut = [*ids[: length - 1], ids[-1]] if len(ids) > length else ids
                whole = torch.tensor([[*cut, *[self.job["fill"]] * (length - len(cut))]])
                inputs = {"input_ids": whole, "attention_mask": torch.ones_like(whole)}
                yield self.project(self.module(**inputs).last_hidden_state)[0]


def pool(hidden: torch.Tensor, mask: torch.Tensor, modes: list[str]) -> torch.Tensor:
    """Return one vector a text: `fmbench.encoder.pooling`; padding is on the right."""
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    found = {
        "mean": lambda: (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9),
        "max": lambda: hidden.masked_fill(weights == 0, float("-inf")).amax(dim=1),
        "cls": lambda: hidden[:, 0],
        "last": lambda: hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1],
    }
    return torch.cat([found[mode]() for mode in modes], dim=-1)


def layer_by_layer(model: Model, inputs: dict[str, torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    """Return what enters and leaves each layer, and the output: (tokens, hidden size), padding left out."""
    found: list[tuple[str, torch.Tensor]] = []

    def enter(module: Any, arguments: Any) -> None:
        found.append(("embeddings", arguments[0]))

    def leave(place: int) -> Callable[..., None]:
        return lambda module, arguments, output: found.append(
            (f"layer.{place}", output[0] if isinstance(output, tuple) else output)
        )

    lists = [each for each in model.module.modules() if isinstance(each, torch.nn.ModuleList)]
    layers = max((each for each in lists if len({type(module) for module in each}) == 1), key=len)
    handles = [layers[0].register_forward_pre_hook(enter)]
    handles += [module.register_forward_hook(leave(place)) for place, module in enumerate(layers)]
    try:
        found.append(("last", model.module(**inputs).last_hidden_state))
    finally:
        for handle in handles:
            handle.remove()
    mask = inputs["attention_mask"].bool()
    return [(name, tensor[mask]) for name, tensor in found]


def steps(model: Model, texts: list[str]) -> Named:
    """Yield the layers of a batch of texts, and what the head makes of the last one."""
    inputs = model.collate(model.tokenise(texts))
    found = layer_by_layer(model, inputs)
    yield from found
    last = found[-1][1]
    projected = linear(last, model.head.to(last.dtype))
    masked = projected * model.kept(inputs)[inputs["attention_mask"].bool()][:, None]
    yield "linear", projected
    yield "mask", masked
    yield "norm", normalize(masked, dim=-1)


def tokens(model: Model, options: dict[str, Any]) -> Named:
    """Yield token ids and lengths of all texts."""
    for role in ("passage", "query"):
        for found in model.chunks(role):
            yield role + ".ids", torch.tensor([token for ids in found for token in ids], dtype=torch.int64)
            yield role + ".lengths", torch.tensor([len(ids) for ids in found], dtype=torch.int64)


def hidden(model: Model, options: dict[str, Any]) -> Named:
    """Yield the layers of the first passages."""
    for _, inputs in model.batches("passage", options["texts"]):
        yield from layer_by_layer(model, inputs)


def bert(model: Model, options: dict[str, Any]) -> Named:
    """Yield digests of the weights, and the steps of one sentence."""
    digests = [hashlib.sha256(bytes_of(tensor)).digest() for tensor in model.module.state_dict().values()]
    yield "weights", torch.tensor([list(digest) for digest in digests], dtype=torch.uint8)
    yield from steps(model, [model.job["sentence"]])


def amp_bert(model: Model, options: dict[str, Any]) -> Named:
    """Yield the steps of eight texts in mixed precision."""
    with torch.autocast(**MIXED):
        yield from list(steps(model, model.job["eight"]))


def remove_dense(model: Model, options: dict[str, Any]) -> Named:
    """Yield the steps of eight texts in mixed precision, each layer's feed-forward matrices being the identity."""
    kept, model.module = model.module, copy.deepcopy(model.module)
    yield "replaced", torch.tensor([replace_dense(model.module)])
    with torch.autocast(**MIXED):
        found = list(steps(model, model.job["eight"]))
    model.module = kept
    yield from found


def replace_dense(model: torch.nn.Module) -> int:
    """Replace the feed-forward matrices of each layer that has both by the identity; return how many."""
    named = dict(model.named_modules())
    found = [
        name for name, module in named.items()
        if name.endswith(DENSE) and ".attention." not in name and isinstance(module, torch.nn.Linear)
    ]  # fmt: skip
    above = [name.rsplit(".", 2)[0] for name in found]
    whole = [name for name, layer in zip(found, above) if above.count(layer) == len(DENSE)]  # noqa: B905 (Python 3.8)
    for name in whole:
        parent, _, last = name.rpartition(".")
        setattr(named[parent], last, torch.nn.Identity())
    return len(whole)


def lse(model: Model, options: dict[str, Any]) -> Named:
    """Yield token vectors of a sample of passages, in batches of many sizes in mixed precision."""
    count, sizes = len(model.job["texts"]["passage"]), options["sizes"]
    wanted = min(options["most"], count, 1 + int(16 * (120 * count) ** 0.5))
    chosen = torch.randperm(count, generator=model.generator())[:wanted].sort().values
    yield "sample", chosen
    place, turn = 0, 0
    while place < wanted:
        size = min(sizes[turn % len(sizes)], wanted - place)
        texts = [model.job["texts"]["passage"][at] for at in chosen[place : place + size].tolist()]
        inputs = model.collate(model.tokenise(texts))
        with torch.autocast(**MIXED):
            vectors = model.project(model.module(**inputs).last_hidden_state)
        yield f"batch.{turn}.of_{size}", vectors[model.kept(inputs)]
        place, turn = place + size, turn + 1


def pooled(model: Model, options: dict[str, Any]) -> Named:
    """Yield the pooled vectors of all texts."""
    for role in ("passage", "query"):
        yield role, model.encode(role)[0]


def layer_norm(model: Model, options: dict[str, Any]) -> Named:
    """Yield the layer normalisation of random rows, of the first ones alone, and the largest difference."""
    shape, first = options["shape"], options["first"]
    norm = torch.nn.LayerNorm(shape[-1])
    rows = torch.randn(shape, generator=model.generator())
    with torch.autocast(**MIXED):
        whole, alone = norm(rows), norm(rows[:first])
    yield "batch32", whole
    yield "first8", alone
    yield "difference", (whole[:first] - alone).abs().max()


def norm(model: Model, options: dict[str, Any]) -> Named:
    """Yield uniform numbers and their normalised rows; those that a torch has no kernel for are missing, as 2.0's."""
    drawn = torch.rand(options["shape"], generator=model.generator()) * 0.8 - 0.4
    for name, rows in (("float32", drawn), ("float16", drawn.half())):
        yield name + ".before", rows
        try:
            yield name + ".after", normalize(rows, dim=-1)
        except RuntimeError as error:
            if "not implemented for" not in str(error):
                raise


def sort(model: Model, options: dict[str, Any]) -> Named:
    """Yield random integers sorted, and where they stood."""
    drawn = torch.randint(0, options["highest"], (options["count"],), generator=model.generator(), dtype=torch.int32)
    found = drawn.sort()
    yield "values", found.values
    yield "indices", found.indices.int()


def subtract(model: Model, options: dict[str, Any]) -> Named:
    """Yield the difference of two arrays in float16."""
    generator = model.generator()
    one, other = (torch.randn(options["shape"], generator=generator).half() for _ in range(2))
    yield "minuend", one[:1024]
    yield "subtrahend", other[:1024]
    yield "difference", one - other


def exact(model: Model, options: dict[str, Any]) -> Named:
    """Yield the best passages of each query: by MaxSim over token vectors, and by one vector a text."""
    vectors = model.encode("passage")[1]
    blocks = [vectors[start : start + options["block"]] for start in range(0, len(vectors), options["block"])]
    yield "tokens", ranked(model, options, blocks, model.query_vectors())
    rows = list(model.normalised("passage")[:, None])
    yield "pooled", ranked(model, options, [rows], iter(model.normalised("query")[:, None]))


def ranked(model: Model, options: dict[str, Any], blocks: list[Any], queries: Iterator[torch.Tensor]) -> dict[str, Any]:
    """Return a ranking of every query, without a passage that has the query's own id."""
    ids, result = model.job["ids"], {}
    joined = [(torch.cat(block), torch.tensor([len(each) for each in block])) for block in blocks]
    for name, query in zip(ids["query"], queries):  # noqa: B905 (Python 3.8)
        scores = torch.cat([max_sim(query, rows.float(), lengths) for rows, lengths in joined])
        places = scores.sort(descending=True, stable=True).indices[: options["depth"] + 1].tolist()
        found = [(ids["passage"][place], float(scores[place])) for place in places]
        result[name] = dict([pair for pair in found if pair[0] != name][: options["depth"]])
    return result


def max_sim(query: torch.Tensor, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the score of each text: for each query token the best of the text's tokens, summed; 0 without a token."""
    products = rows @ query.T
    owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    best = torch.full((len(lengths), products.shape[1]), float("-inf"))
    best.scatter_reduce_(0, owner[:, None].expand_as(products), products, "amax")
    return best.masked_fill(best == float("-inf"), 0.0).sum(dim=1)


PROBES = {
    probe.__name__: probe
    for probe in (
        tokens, hidden, bert, amp_bert, remove_dense, lse, pooled, layer_norm, norm, sort, subtract, exact,
    )
}  # fmt: skip


def bytes_of(tensor: torch.Tensor) -> bytes:
    """Return a tensor's elements, row by row."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def keep(folder: Path, probe: str, found: Named, start: int) -> Iterator[dict[str, Any]]:
    """Write what a probe yields, and yield the manifest's entries; `start` artifacts are there already."""
    pieces: dict[str, list[Any]] = {}
    for name, piece in found:
        pieces.setdefault(name, []).append(piece)
    for number, (name, parts) in enumerate(pieces.items(), start):
        label = f"{probe}/{name}"
        slug = f"{number:04d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', label)[:80]}"
        if isinstance(parts[0], dict):
            kind, dtype, file, data = "ranking", "", f"runs/{slug}.tsv", run_text(parts[0])
            shape = [len(parts[0]), max(map(len, parts[0].values()), default=0)]
            (folder / file).write_bytes(data)
        else:
            tensor = torch.cat([part.reshape(1) if part.dim() == 0 else part for part in parts]).contiguous()
            kind, dtype, shape = "tensor", str(tensor.dtype).split(".")[1], list(tensor.shape)
            file, data = f"tensors/{slug}.safetensors", bytes_of(tensor)
            safetensors.torch.save_file({label: tensor}, str(folder / file))
        sha256 = hashlib.sha256(data).hexdigest()
        yield {
            "probe": probe, "name": name, "kind": kind, "file": file, "shape": shape, "sha256": sha256, "dtype": dtype,
        }  # fmt: skip


def run_text(run: dict[str, dict[str, float]]) -> bytes:
    """Return the text of a run file: best first, equal scores by the larger id."""
    rows = []
    for query, scores in run.items():
        order = sorted(scores, key=lambda document: (scores[document], document), reverse=True)
        rows += [f"{query}\t{document}\t{rank}\t{scores[document]!r}\n" for rank, document in enumerate(order, 1)]
    return "".join(rows).encode()


def main(job: dict[str, Any], folder: Path) -> None:
    """Capture into a folder that holds a manifest of no probe yet; it is written again after each."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in ("tensors", "runs"):
        (folder / name).mkdir()
    model = Model(job, manifest["seed"])
    manifest["fingerprint"].update(model.facts())
    for name, options in job["probes"].items():
        torch.manual_seed(manifest["seed"])
        with torch.no_grad():
            found = PROBES[name](model, options)
            manifest["artifacts"] += keep(folder, name, found, len(manifest["artifacts"]))
        manifest["probes"][name] = options
        manifest["complete"] = len(manifest["probes"]) == len(job["probes"])
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
