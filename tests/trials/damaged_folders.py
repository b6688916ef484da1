"""Folders of a model with one value of one JSON file damaged: each is refused in one line, or read and loaded.

    python -m tests.trials.damaged_folders [READ LOADED]

Prints what ended otherwise. A damaged folder may not run on for ever either: a load has half a minute.
"""

import contextlib
import io
import json
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fmbench.encoder import Encoder, EncoderPlan
from fmbench.encoder.folder import read
from fmbench.errors import FmbenchError
from fmbench.options import Arguments
from tests.text_models import add_modules, save_bert, write_json

READ, LOADED = 5000, 1000
LONGEST = 30  # seconds
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 10**30, 1.5, "64", "", "../x", [], [1], ["a", 2], {}, {"a": 1}, float("nan"), "\0", ...,
)  # fmt: skip
FILES = (
    "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "config.json",
    "1_Pooling/config.json", "2_Dense/config.json",
)  # fmt: skip
KEYS = (
    "max_seq_length", "do_lower_case", "query_length", "processor_kwargs", "model_args", "modality_config",
    "transformer_task", "query_expansion", "prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim",
    "model_type", "pooling_mode", "pooling_mode_cls_token", "include_prompt", "in_features", "bias", "use_residual",
    "activation_function", "module_input_name", "architectures", "is_causal", "dtype", "torch_dtype", "vocab_size",
    "max_position_embeddings", "pad_token_id", "num_hidden_layers", "hidden_size", "n_positions",
)  # fmt: skip


def damages(folder: Path, count: int) -> Iterator[str]:
    """Damage a folder in one place after the other, and say where; each is mended again."""
    draw = random.Random(5)
    for _ in range(count):
        path = folder / draw.choice(FILES)
        whole = path.read_bytes()
        parsed = json.loads(whole)
        target = draw.choice(parsed) if isinstance(parsed, list) else parsed
        key, value = draw.choice([*target, *KEYS]), draw.choice(VALUES)
        kind = draw.choice(("key", "key", "key", "key", "cut", "gone", "whole"))
        if kind == "gone":
            path.unlink()
        elif kind == "cut":
            path.write_bytes(whole[: draw.randrange(len(whole))])
        elif kind == "whole":
            write_json(path, None if value is ... else value)
        else:
            target.pop(key, None) if value is ... else target.update({key: value})
            write_json(path, parsed)
        yield f"{path.relative_to(folder)}: {kind} {key} {value!r}"
        path.write_bytes(whole)


def plan_of(folder: Path) -> EncoderPlan:
    """Return the plan of an encoder of a folder."""
    return EncoderPlan.of(Arguments(platform="cpu", model_class="AutoModel", model_name=str(folder)))


def read_folder(folder: Path) -> None:
    """Read a folder as an encoder does, and as distillation does."""
    plan_of(folder)
    read(folder, query_side=True)


def load_folder(folder: Path) -> None:
    """Load a folder, and encode a text of each role."""
    encoder = Encoder(plan_of(folder))
    for role in ("query", "passage"):
        encoder.encode(["a text"], role)


def tried(folder: Path, count: int, use: Callable[[Path], None]) -> dict[str, Any]:
    """Use a folder under so many damages, and return how many were `taken` and `refused`, and every `other` end."""
    found: dict[str, Any] = {"taken": 0, "refused": 0, "other": []}
    for damage in damages(folder, count):
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                use(folder)
        except FmbenchError as error:
            found["refused"] += 1
            if "\n" in str(error):
                found["other"].append(f"{damage}: more than one line: {error}")
        except Exception as error:
            found["other"].append(f"{damage}: {type(error).__name__}: {error}")
        else:
            found["taken"] += 1
    return found


def too_long(*_: object) -> None:
    """Say that a load does not end."""
    raise TimeoutError(f"more than {LONGEST} s")


def load_in_time(folder: Path) -> None:
    """Load a folder within the time that it has."""
    signal.alarm(LONGEST)
    try:
        load_folder(folder)
    finally:
        signal.alarm(0)


def main() -> int:
    """Try both, and return 1 where one ended otherwise."""
    counts = [int(word) for word in sys.argv[1:3]] or [READ, LOADED]
    signal.signal(signal.SIGALRM, too_long)
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = add_modules(save_bert(Path(name, "model")))
        write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: "}, "truncate_dim": 2})
        for what, count, use in zip(("read", "loaded"), counts, (read_folder, load_in_time), strict=True):
            found = tried(folder, count, use)
            wrong += found["other"]
            print(f"{count:,} {what}: {found['taken']:,} taken, {found['refused']:,} refused in one line")
    print("\n".join(wrong))
    print(f"{sum(counts):,} damaged folders, {len(wrong)} ended otherwise")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
