"""What a figure is a figure of: which facts count, how configurations are called."""

import json

import pytest

from fmbench.configuration import Configuration, names, options_of

FACTS = {
    "fmbench": "0.1.0", "fmbench_commit": "abc", "python": "3.11.7", "packages": {"torch": "2.13.0", "numpy": "2.4"},
    "system": "Linux 6", "machine": "x86_64", "cpu": "AMD EPYC", "cpu_cores": 2, "cpus": 2, "memory_bytes": 25 * 2**30,
    "timed": "forward", "task": "evaluate", "seed": 0, "platform": "cpu", "device": "cpu", "threads": 2,
    "gradients": False, "compile": False, "options": [], "torch_settings": {"float32_matmul_precision": "highest"},
    "variables": {"KMP_BLOCKTIME": "1"}, "model": "org/minilm", "model_class": "BertModel", "weights": "pretrained",
    "model_digest": "aa" * 32, "dtype": "float32", "attention": "sdpa", "load_average_start": 0.1,
}  # fmt: skip
COUNT = [
    {"packages": {"torch": "2.14.0", "numpy": "2.4"}}, {"cpu": "AMD EPYC 2"}, {"cpu_cores": 4},
    {"platform": "openvino"},
    {"device": "GPU.1"}, {"threads": 1}, {"gradients": True}, {"compile": True}, {"options": ["--compile:mode x"]},
    {"torch_settings": {"float32_matmul_precision": "high"}}, {"variables": {"KMP_BLOCKTIME": "2"}},
    {"model_class": "BertForMaskedLM"}, {"weights": "random"}, {"model_digest": "bb" * 32}, {"dtype": "bfloat16"},
    {"precision": "bfloat16"}, {"attention": "eager"}, {"firmware_of_a_third_party": "7"}, {"cpus_usable": 1},
]  # fmt: skip
DO_NOT = [
    {"fmbench": "0.2.0"}, {"fmbench_commit": "def"}, {"system": "Linux 7"}, {"timed": "encode"}, {"task": "ladder"},
    {"seed": 1}, {"model": "elsewhere/minilm"}, {"load_average_start": 9.0}, {"data": {"scifact": {"corpus": "x"}}},
    {"recipe": {"pooling": ["mean"]}}, {"precision": "float32"}, {"dtype": "torch.float32"}, {"precision": "f32"},
    {"options": ["--model:dtype@ torch.float32"]}, {"options": ["--torch.call:set_grad_enabled@ False"]},
    {"variables": {"KMP_BLOCKTIME": "1", "OMP_NUM_THREADS": "2"}},
    {"variables": {"KMP_BLOCKTIME": "1", "KMP_DUPLICATE_LIB_OK": "True"}},  # as scikit-learn sets it
]  # fmt: skip


def of(*facts):
    return Configuration.of({name: value for part in (FACTS, *facts) for name, value in part.items()})


@pytest.mark.parametrize("edit", COUNT, ids=str)
def test_what_decides_a_figure_decides_the_id(edit):
    assert of(edit).id != of().id


@pytest.mark.parametrize("edit", DO_NOT, ids=str)
def test_what_changes_from_run_to_run_or_is_said_elsewhere_does_not(edit):
    assert of(edit).id == of().id


def test_the_id_is_the_same_for_ever():
    assert of().id == "c-ac9b21"


def test_the_order_of_facts_is_no_matter():
    assert Configuration.of(dict(reversed(json.loads(json.dumps(FACTS)).items()))).id == of().id


def test_a_model_without_a_digest_is_known_by_its_name():
    assert of({"model_digest": None}).id != of({"model_digest": None, "model": "other"}).id


def test_the_command_line_counts_where_a_log_has_no_options():
    old = {name: value for name, value in FACTS.items() if name != "options"}
    one, other = (Configuration.of(old, said=[text]) for text in ("--threads 1", "--compile"))
    assert len({one.id, other.id, Configuration.of(old).id}) == 3


def test_a_name_says_platform_and_precision_and_what_tells_apart():
    many = [
        of(), of({"dtype": "bfloat16"}), of({"threads": 1}), of({"platform": "openvino", "precision": "bf16"}),
        of({"compile": True, "options": ["--compile:backend inductor"]}),
    ]  # fmt: skip
    assert list(names(many).values()) == [
        "cpu, float32, 2 threads",
        "cpu, bfloat16, 2 threads",
        "cpu, float32, 1 thread",
        "openvino, bfloat16, 2 threads",
        "cpu, float32, inductor, 2 threads",
    ]


def test_a_digest_stands_in_a_name_by_its_beginning():
    many = [of({"calibration": {"digest": digit * 64}}) for digit in "ab"]
    assert list(names(many).values()) == [f"cpu, float32, calibration.digest {digit * 12}" for digit in "ab"]


def test_no_two_names_are_alike():
    many = [of(), *map(of, COUNT)]
    assert len(set(names(many).values())) == len({one.id for one in many})


def test_alone_a_configuration_is_its_platform_and_precision():
    assert list(names([of()]).values()) == ["cpu, float32"]


def test_options_stand_in_a_name_only_where_the_rest_of_it_is_not_enough():
    many = [
        of(), of({"precision": "int8", "options": ["--platform:quantize int8"]}),
        of({"options": ["--platform:calm yes"]}),
        of({"compile": True, "options": ["--compile:backend inductor", "--compile:dynamic@ True"]}),
    ]  # fmt: skip
    assert list(names(many).values()) == [
        "cpu, float32", "cpu, int8", "cpu, float32, --platform:calm yes", "cpu, float32, inductor"
    ]  # fmt: skip


EARLY = {name: FACTS[name] for name in ("platform", "cpu", "packages")}  # before a model is set up


@pytest.mark.parametrize("said", [
    ("--model:dtype float32", "--model:dtype@ torch.bfloat16"), ("--threads 1", "--threads 2"), ("--compile", "--pin"),
    ("--model:attn_implementation eager", "--model:attn_implementation sdpa"), ("--weights random", "--device 1"),
    ("--torch.call:set_grad_enabled@ False", "--torch.call:set_num_threads 2"),
    ("--torch.call:set_default_dtype@ torch.float64", "--torch.call:set_float32_matmul_precision high"),
], ids=str)  # fmt: skip
def test_what_no_fact_shows_the_command_line_does(said):
    one, other = (Configuration.of(EARLY, said=options_of([text, "--reps 9"], EARLY)).id for text in said)
    assert len({one, other, Configuration.of(EARLY, said=options_of(["--reps 9"], EARLY)).id}) == 3
