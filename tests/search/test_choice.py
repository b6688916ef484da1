import sys

import pytest

from fmbench.backend import find
from fmbench.errors import UsageError
from fmbench.search import bfloat16_engine, choice, choose_engine


class OnDevice:
    """A backend whose torch operations run on a device."""

    runs_torch = True
    device = "meta"


class BesideTorch(OnDevice):
    """A backend whose device torch's own operations do not reach."""

    runs_torch = False


@pytest.mark.parametrize(
    ("backend", "pays", "name"),
    [
        (OnDevice(), True, "torch"),
        (BesideTorch(), True, "bfloat16"),
        (BesideTorch(), False, "faiss"),
        (find("cpu"), True, "bfloat16"),
        (find("cpu"), False, "faiss"),
        (find("openvino"), False, "faiss"),
        (find("null"), False, "faiss"),
    ],
)
def test_which_engine_serves_which_backend(monkeypatch, backend, pays, name):
    pytest.importorskip("faiss")
    monkeypatch.setattr(bfloat16_engine, "pays", lambda dimensions, threads: pays)
    assert choose_engine(backend, 384).name == name


def test_without_faiss_torch_serves_the_host(monkeypatch):
    monkeypatch.setattr(bfloat16_engine, "pays", lambda dimensions, threads: False)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    assert choose_engine(find("cpu"), 384).name == "torch"


def test_faiss_that_is_absent_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"faiss needs faiss-cpu: pip install 'fmbench\[retrieval\]'"):
        choose_engine(find("cpu"), 384, name="faiss")


def test_an_engine_by_name():
    engine = choose_engine(OnDevice(), 384, name="torch", rows=77)
    assert (engine.name, engine.rows, engine._device) == ("torch", 77, "meta")
    assert choose_engine(find("cpu"), 384, name="torch")._device == "cpu"
    with pytest.raises(UsageError, match="search engine fais: unknown; did you mean faiss"):
        choose_engine(find("cpu"), 384, name="fais")


def test_the_trial_answers_either_way():
    assert bfloat16_engine.pays(32, 1) in (True, False)
