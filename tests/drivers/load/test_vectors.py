"""Whether wrong vectors are found, and named; the service is the real model, or a fake that spoils it."""

import json
import shutil

import numpy as np
import pytest

from fmbench import cli
from fmbench.drivers.load.answers import Answers
from fmbench.drivers.load.arguments import parse
from fmbench.drivers.load.payload import Payload, read
from fmbench.drivers.load.references import CaptureReference, ModelReference
from fmbench.drivers.load.vectors import verdict
from fmbench.errors import UsageError
from tests.tiny_model import WORDS, write_model
from tests.torch_state import torch_restored

from .conftest import serving

TEXTS = [" ".join(WORDS[place : place + 3 + place % 15]) for place in range(12)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return ModelReference(str(write_model(tmp_path_factory.mktemp("reference") / "tiny")), "passage", None)


@pytest.fixture
def judged(reference):
    """judged(change) -> the verdict on the reference's own vectors after a change, two texts a request."""
    own = reference.vectors(TEXTS)

    def judge(change, against=reference, dimension=32, dtype=None):
        batches = [TEXTS[place : place + 2] for place in range(0, len(TEXTS), 2)]
        found = [(body, np.array([own[text] for text in texts])) for body, texts in enumerate(batches)]
        answers = Answers(Payload(batches, []), [(body, change(body, vectors)) for body, vectors in found])
        return verdict(answers, dimension, 0.99, against, dtype)

    return judge


def at(place, change):
    return lambda body, vectors: change(vectors.copy()) if body == place else vectors


def test_the_right_vectors_are_right(judged):
    said = judged(lambda _, vectors: vectors)
    assert (said["verdict"], said["faults"], said["vectors"]) == ("right", {}, 12)
    assert said["least_cosine"] == pytest.approx(1) and said["normalised"] and said["reference"] == "tiny"


def test_noise_of_a_smaller_type_is_right(judged):
    assert judged(lambda _, vectors: vectors.astype(np.float16).astype(np.float32))["verdict"] == "right"


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda vectors: np.roll(vectors, 5, axis=1), {"corrupt": 2}),
        (lambda vectors: vectors[::-1], {"wrong order": 2}),
        (lambda vectors: vectors * 3, {"not normalised": 2}),
        (lambda vectors: vectors[:1], {"wrong count": 2}),
        (lambda vectors: vectors[:, :8], {"wrong dimension": 2}),
        (lambda vectors: vectors * np.nan, {"NaN": 2}),
        (lambda vectors: vectors * [[1], [np.nan]], {"NaN": 1}),
        (lambda vectors: np.roll(vectors, 5, axis=1) * 3, {"corrupt": 2}),
        (lambda vectors: vectors * np.float32(1e38), {"not normalised": 2}),
        (lambda vectors: vectors * 0, {"zero": 2}),
    ],
)
def test_a_fault_of_one_answer_is_named(judged, change, faults):
    said = judged(at(2, change))
    assert (said["verdict"], said["faults"], said["expected"]) == ("wrong", faults, 12)
    assert np.isfinite(said["norms"]).all()


@pytest.mark.parametrize(("keys", "name"), [({"most": 8}, "cut elsewhere"), ({"role": "query"}, "another prompt")])
def test_a_service_that_is_set_up_otherwise_is_told_from_one_that_corrupts(judged, reference, monkeypatch, keys, name):
    if name == "another prompt":
        real = ModelReference.plan
        monkeypatch.setattr(
            ModelReference,
            "plan",
            lambda self, role, most=None, plain=False: with_prompt(real, self, role, most, plain),
        )
    else:
        monkeypatch.setattr("fmbench.drivers.load.references.LENGTHS", (8,))
    other = reference.encoder(keys.get("role", "passage"), keys.get("most"))
    long = [text for text in TEXTS if len(text.split()) > 10] or TEXTS
    served = dict(zip(TEXTS, other.encode(TEXTS, keys.get("role", "passage")), strict=True))
    batches = [[text] for text in long]
    answers = Answers(Payload(batches, []), [(place, served[text][None]) for place, (text,) in enumerate(batches)])
    said = verdict(answers, 32, 0.99, reference, None)
    assert said["faults"].get(name, 0) >= 1 and "corrupt" not in said["faults"], said


def with_prompt(real, self, role, most, plain):
    """The plan of a model whose queries have a prompt."""
    import dataclasses

    plan = real(self, role, most, plain)
    said = dataclasses.replace(plan.said, query_prompt="" if plain else "heat heat heat heat ")
    return dataclasses.replace(plan, said=said)


def test_without_a_reference_the_same_text_has_the_same_vector(judged):
    texts = [["wing"], ["wing"], ["wing"]]
    vector = np.eye(1, 32, dtype=np.float32)
    answers = Answers(Payload(texts, []), [(0, vector), (1, vector), (2, np.roll(vector, 1, axis=1))])
    said = verdict(answers, 32, 0.99, None, None)
    assert (said["repeated"], said["repeated_equal"], said["repeated_least_cosine"]) == (2, 1, 0)
    assert (said["verdict"], said["faults"]) == ("wrong", {"same text, other vector": 1})


def shift(_, vectors):
    """Another direction in each of all vectors: cosines of 0.995."""
    aside = vectors + 0.1 * np.eye(1, vectors.shape[1], dtype=np.float32)
    return aside / np.linalg.norm(aside, axis=1, keepdims=True)


def test_all_vectors_that_are_a_little_aside_are_shifted(judged, captured):
    said = judged(shift)
    assert said["least"] < said["least_cosine"] and said["median_cosine"] < said["least_median"] == 0.999
    assert (said["verdict"], said["faults"]) == ("wrong", {"shifted": 12})
    assert judged(shift, CaptureReference(str(captured), "passage", None))["faults"] == said["faults"]
    assert judged(shift, dtype="int8")["verdict"] == judged(at(2, lambda one: shift(2, one)))["verdict"] == "right"


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        (("wing", "tail", "wing"), {"other text, same vector": 1}),
        (("Wing, été", "wing ete"), {}),  # folded, and cut
        (("long " * 40 + "a", "long " * 40 + "b"), {}),
    ],
)
def test_without_a_reference_other_texts_have_other_vectors(texts, faults):
    found = [(place, np.eye(1, 8, dtype=np.float32)) for place in range(len(texts))]
    said = verdict(Answers(Payload([[text] for text in texts], []), found), 8, 0.99, None, None)
    assert said["faults"] == faults


@pytest.mark.parametrize(("fault", "name"), [("--zero", "zero"), ("--one", "other text, same vector")])
def test_a_server_whose_vectors_say_nothing_is_found(load, fault, name):
    words = ("--tokens", "16", "--warmup", "0", "--requests", "50")
    with serving("--platform", "null", "--model_name", "none", faults=(fault,)) as (url, _):
        code, found, err = load("--url", url, *words)
    (said,) = found["VEC"]
    assert (code, said["verdict"], list(said["faults"])) == (1, "wrong", [name]), err


@pytest.mark.parametrize(("faults", "verdict"), [((), "consistent"), (("--swap",), "wrong")])
def test_a_server_that_swaps_the_vectors_of_a_request_is_found_without_a_reference(load, tmp_path, faults, verdict):
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    words = ("--texts", tmp_path / "texts.txt", "--inputs_per_request", 2, "--warmup", "0", "--requests", 12)
    with serving("--platform", "null", "--model_name", "none", faults=faults) as (url, _):
        code, found, err = load("--url", url, *words)
    (said,) = found["VEC"]
    assert (code, said["verdict"], said["expected"], said["repeated"]) == (int(bool(faults)), verdict, 24, 12), err
    assert [*said["faults"]] == (["same text, other vector"] if faults else [])
    if faults:  # the log is standard output: the copy that the table is made of is nobody's
        assert f"{said['faults'].popitem()[1]} same text, other vector (of 24 in 12 answers)" in err
        assert "warning: fmbench load: closed 8" in err and "run.log" not in err


def test_each_pass_over_the_texts_gives_them_other_neighbours(tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"text {place}\n" for place in range(30)))
    words = ["--url", "http://x", "--model_name", "m", "--inputs_per_request", "1,3"]
    for source in (["--texts", str(tmp_path / "texts.txt")], ["--tokens", "32"]):
        arguments = parse([*words, *source, "--seed", "7"])
        (alone, _), (several, _) = read(arguments).values()
        assert len({text for (text,) in alone}) == len(alone)
        first, second = several[: len(several) // 2], several[len(several) // 2 :]
        one, other = (sorted(text for request in part for text in request) for part in (first, second))
        assert one == other and len(set(one)) == 3 * len(first)
        neighbours = {frozenset(request) for request in first} & {frozenset(request) for request in second}
        assert not neighbours and read(arguments)[3][0] == several


def test_blank_texts_are_passed_over_and_noted_once(tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("wing\n\n \nflow\n")
    words = ["--url", "http://x", "--model_name", "m", "--inputs_per_request", "1,2"]
    found = read(parse([*words, "--texts", str(tmp_path / "texts.txt")]))
    assert {text for requests, _ in found.values() for request in requests for text in request} == {"wing", "flow"}
    assert capsys.readouterr().err == f"note: --texts {tmp_path}/texts.txt: passes over 2 blank of 4 texts\n"


@pytest.mark.xdist_group("served")
def test_one_vector_of_many_that_a_server_spoils_is_found(load, tiny_served, tmp_path):
    folder, url = tiny_served
    words = ("--tokens", "uniform:4-30", "--warmup", "0", "--requests", "120", "--concurrency", "4")
    check = ("--reference", folder)
    code, found, err = load("--url", url, *words, *check, model=folder)
    assert code == 0, err
    assert found["VEC"][0]["verdict"] == "right", found["VEC"]
    with serving("--platform", "cpu", "--model_name", folder, faults=("--corrupt", 100)) as (bad, _):
        code, found, err = load("--url", bad, *words, *check, model=folder)
    (said,) = found["VEC"]
    assert (code, said["verdict"], said["faults"]) == (1, "wrong", {"corrupt": 1})
    assert said["least_cosine"] < 0.9 and "wrong vectors: 1 corrupt" in err


@pytest.fixture(scope="module")
def captured(reference, tmp_path_factory):
    """A capture of the reference's own model and half of the texts, as fidelity takes it."""
    folder = tmp_path_factory.mktemp("captured")
    (folder / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    words = ("--platform", "cpu", "--model_name", reference.folder, "--texts", str(folder / "texts.txt"))
    with torch_restored():
        assert cli.main(["fidelity", "capture", *words, "--probes", "normalised", "--out", str(folder / "kept")]) == 0
    return folder / "kept"


def test_a_capture_is_a_reference_without_its_model(judged, captured):
    kept = CaptureReference(str(captured), "passage", None)
    right = judged(lambda _, vectors: vectors, kept)
    assert (right["verdict"], right["reference"], right["reference_dtype"]) == ("right", "kept", "float32")
    assert right["least_cosine"] == pytest.approx(1) and right["reference_normalised"] is None
    swapped = judged(at(2, lambda vectors: vectors[::-1]), kept)
    assert swapped["faults"] == {"wrong order": 2}
    rolled = judged(at(2, lambda vectors: np.roll(vectors, 5, axis=1)), kept)
    assert rolled["faults"] == {"wrong": 2}  # cut elsewhere, another prompt, corrupt: it does not know
    assert judged(lambda _, vectors: vectors[:, :8], CaptureReference(str(captured), "passage", 8), 8)["faults"] == {}


def test_a_capture_of_other_texts_ends_before_anything_is_sent(load, null, captured, tmp_path):
    (tmp_path / "texts.txt").write_text(f"{TEXTS[0]}\nnever seen\n")
    words = ("--texts", tmp_path / "texts.txt", "--reference", captured, "--requests", "9", "--warmup", "0")
    code, found, err = load("--url", null, *words)
    assert (code, found) == (2, {})
    assert f"--reference {captured}: has no vector of 1 of the texts that are sent, such as 'never seen'" in err
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    code, found, err = load("--url", null, *words)
    assert (code, found["VEC"][0]["faults"]) == (1, {"wrong dimension": 9}), err  # the null server is no such model


def test_a_capture_that_does_not_name_its_texts_is_refused(captured, tmp_path):
    shutil.copytree(captured, tmp_path / "old")
    manifest = json.loads((captured / "manifest.json").read_text())
    (tmp_path / "old" / "manifest.json").write_text(json.dumps({**manifest, "named": None}))
    with pytest.raises(UsageError, match="old: does not name the texts that it has as passage; capture again"):
        CaptureReference(str(tmp_path / "old"), "passage", None)
    (tmp_path / "old" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "old" / "texts.tsv").write_text("passage\tsomething else\n")
    with pytest.raises(UsageError, match=r"texts\.tsv: is damaged"):
        CaptureReference(str(tmp_path / "old"), "passage", None)
