"""fmbench: how fast, how faithful, how good? One benchmark for embedding models on any accelerator."""

from fmbench.torch_settings import quiet_imports

__version__ = "0.2.0rc1"

quiet_imports()
