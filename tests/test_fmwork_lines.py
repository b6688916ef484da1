"""Command lines of fmwork's embed/tf documents, and every form of its grammar: alike, or refused in a line."""

import os

import pytest

from fmbench.errors import UsageError
from fmbench.options import parse_arguments

GPU = [
    *("--platform", "cuda", "--model_root", "/path/to/models", "--model_class", "RobertaModel"),
    *("--model_name", "ibm-granite/granite-embedding-125m-english", "--input_sizes", "512", "--batch_sizes", "1"),
    *("--reps", "100"),
]
SPYRE = ["--platform", "spyre", *GPU[2:], "--torch.call:set_grad_enabled@", "False", "--compile"]

# What is added to GPU, and what fmwork makes of it: its sub-options, evaluated.
ALIKE = [
    ("", {}),
    ("--eval", {}),
    ("--compile", {}),
    ("--compile:backend inductor --compile:dynamic@ True --compile:mode reduce-overhead",
     {"compile": {"backend": "inductor", "dynamic": True, "mode": "reduce-overhead"}}),
    ("--compile --compile:backend sendnn", {"compile": {"backend": "sendnn"}}),
    ("--compile:fullgraph@ True", {"compile": {"fullgraph": True}}),
    ("--compile:dynamic False", {"compile": {"dynamic": "False"}}),
    ("--compile:options:max_autotune@ True --compile:options:freezing@ True",
     {"compile": {"options": {"max_autotune": True, "freezing": True}}}),
    ("--compile:options:a:b:c@ 1", {"compile": {"options": {"a": {"b": {"c": 1}}}}}),
    ("""--compile:options:"a:b"@ 1""", {"compile": {"options": {"a:b": 1}}}),
    ("--compile:options:triton.cudagraphs@ True", {"compile": {"options": {"triton.cudagraphs": True}}}),
    ("""--compile:options@ {'epilogue_fusion':True}""", {"compile": {"options": {"epilogue_fusion": True}}}),
    ("--model:dtype@ torch.bfloat16", {"model": {"dtype": "torch.bfloat16"}}),
    ("--model:torch_dtype@ torch.float16", {"model": {"torch_dtype": "torch.float16"}}),
    ("--model:dtype float16", {"model": {"dtype": "float16"}}),
    ("--model:attn_implementation eager", {"model": {"attn_implementation": "eager"}}),
    ("--model:local_files_only@ True", {"model": {"local_files_only": True}}),
    ("--model:revision@ None", {"model": {"revision": None}}),
    ("--model:n@ -1", {"model": {"n": -1}}),
    ("--model:n@ 1+2*3", {"model": {"n": 7}}),
    ("--model:n@ max(args.input_sizes)", {"model": {"n": 512}}),
    ("--model:n@ args.batch_sizes[0]", {"model": {"n": 1}}),
    ("--model:n@ args.reps", {"model": {"n": 100}}),
    ("--model:s@ args.platform", {"model": {"s": "cuda"}}),
    ("--model:s@ args.model_path", {"model": {"s": "/path/to/models/ibm-granite/granite-embedding-125m-english"}}),
    ("--model:s@ os.path.join(args.model_path,'x')",
     {"model": {"s": "/path/to/models/ibm-granite/granite-embedding-125m-english/x"}}),
    ("--model:s@ os.sep", {"model": {"s": os.sep}}),
    ("--model:s@ argparse.Namespace(a=1).a", {"model": {"s": 1}}),
    ("--model:s@ transformers.BertConfig.model_type", {"model": {"s": "bert"}}),
    ("--model:s ''", {"model": {"s": "''"}}),
    ("--torch.call:set_grad_enabled@ False", {"torch.call": {"set_grad_enabled": False}}),
    ("--torch.call:set_grad_enabled False", {"torch.call": {"set_grad_enabled": False}}),
    ("--torch.call:set_num_threads 4", {"torch.call": {"set_num_threads": 4}}),
    ("--torch.call:set_float32_matmul_precision 'high'", {"torch.call": {"set_float32_matmul_precision": "high"}}),
    ("--torch.set:backends.cudnn.benchmark@ True", {"torch.set": {"backends.cudnn.benchmark": True}}),
    ("--torch.set:backends.cudnn.benchmark True", {"torch.set": {"backends.cudnn.benchmark": True}}),
    ("--torch.set:backends.cuda.matmul.allow_tf32 False", {"torch.set": {"backends.cuda.matmul.allow_tf32": False}}),
]  # fmt: skip
# What fmwork takes, or fails on much later, and what is said of it here.
REFUSED = [
    ("--compil", "--compil"),  # an abbreviation means another option in another version
    ("--torch.sets:x@ 1", "unknown set 'torch.sets'; did you mean torch.set"),
    ("--compile:backend", "the value is missing"),
    ("--compile:backend a --compile:backend b", "was given before"),  # the last one would win, unseen
    ("--compile:options 1 --compile:options:a 2", "already has a value"),
    ("--model:dtype@ bfloat16", "unknown name 'bfloat16'"),
    ("--model:s@ parser.prog", "unknown name 'parser'"),
    ("--model:s@ fmwork.med([1])", "unknown name 'fmwork'"),
    ("--reps 0", "--reps"),
    ("--input_sizes 512,x", "--input_sizes"),
]


@pytest.mark.parametrize(("words", "options"), ALIKE, ids=[words or "none" for words, _ in ALIKE])
def test_what_fmwork_takes_means_the_same(words: str, options: dict) -> None:
    arguments = parse_arguments([*GPU, *words.split()]).evaluated()
    found = {name: tree for name, tree in arguments.options.items() if tree}
    shown = {name: {key: str(one) if str(one).startswith("torch.") else one for key, one in tree.items()}
             for name, tree in found.items()}  # fmt: skip
    assert shown == options
    assert arguments.compile == ("--compile" in words) and arguments.eval == ("--eval" in words)
    assert (arguments.shapes, arguments.reps) == ([(512, 1)], 100)


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_fmwork_takes_and_should_not_is_refused(words: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_arguments([*GPU, *words.split()])
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_commands_of_its_documents_are_read() -> None:
    spyre = parse_arguments([*SPYRE, "--compile:backend", "sendnn"])
    assert (spyre.platform, spyre.compile, spyre.literal("compile", "backend")) == ("spyre", True, "sendnn")
    assert spyre.literal("torch.call", "set_grad_enabled") is False
    many = parse_arguments([{"512": "128,256", "1": "1,2"}.get(word, word) for word in GPU])
    assert many.shapes == [(128, 1), (256, 1), (128, 2), (256, 2)]  # batch sizes are the outer loop there too
