import pytest

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
ENGINES = ["faiss", "bfloat16", *DEVICES]  # a device stands for the torch engine on it


def build(name):
    if name == "faiss":
        pytest.importorskip("faiss", reason="faiss-cpu is not installed: pip install 'fmbench[retrieval]'")
        from fmbench.search.faiss_engine import FaissEngine

        return FaissEngine()
    if name == "bfloat16":
        from fmbench.search.bfloat16_engine import Bfloat16Engine

        return Bfloat16Engine()
    from fmbench.search.torch_engine import TorchEngine

    return TorchEngine(name)


@pytest.fixture(params=ENGINES)
def engine(request):
    return build(request.param)


@pytest.fixture
def engines():
    """Every engine that runs here on the host."""
    return [build(name) for name in ("faiss", "bfloat16", "cpu")]
