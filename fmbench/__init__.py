"""fmbench: how fast, how faithful, how good? One benchmark for embedding models on any accelerator."""

from fmbench.torch_settings import quiet_imports

__version__ = "0.1.0"

quiet_imports()
