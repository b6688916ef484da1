"""Which engine serves which backend. Every engine gives the same results; the choice is one of speed."""

import importlib.util
from typing import Any

from fmbench.backend import Backend
from fmbench.errors import UsageError, nearest

from .engine import Engine

ENGINES = ("faiss", "torch", "bfloat16")


def choose_engine(backend: Backend, dimensions: int, *, name: str | None = None, rows: int | None = None) -> Engine:
    """Return the engine of this name, or the fastest one where none is given. The backend has been set up.

    Torch serves a device that its own operations reach; `rows` is how many documents it multiplies at once. On the
    host it is bfloat16 where a short trial shows that the processor multiplies it faster than float32, else faiss,
    else (faiss-cpu is not installed) torch. Raises UsageError for an unknown name, and for faiss where it is absent.
    """
    device = backend.device if backend.runs_torch else None
    if name is None:
        name = "torch" if device is not None else host_engine(dimensions)
    if name not in ENGINES:
        raise UsageError(f"search engine {name}: unknown{nearest(name, ENGINES)} (known: {', '.join(ENGINES)})")
    return make(name, device, rows)


def host_engine(dimensions: int) -> str:
    """Return the name of the host's fastest engine."""
    import torch

    from .bfloat16_engine import pays

    if pays(dimensions, torch.get_num_threads()):
        return "bfloat16"
    return "faiss" if importlib.util.find_spec("faiss") else "torch"


def make(name: str, device: Any | None, rows: int | None) -> Engine:
    """Return a new engine."""
    if name == "faiss":
        from .faiss_engine import FaissEngine

        return FaissEngine()
    if name == "torch":
        from .torch_engine import TorchEngine

        return TorchEngine("cpu" if device is None else device, rows or TorchEngine.rows)
    from .bfloat16_engine import Bfloat16Engine

    return Bfloat16Engine()
