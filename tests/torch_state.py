"""What a driver run in this process changes in torch, put back."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def torch_restored() -> Iterator[None]:
    """Put back threads, gradients and the precision of products, and forget what was compiled.

    For a fixture that lasts, which holds it as long.
    """
    import torch

    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    precision, dtype = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(gradients)
        torch.set_float32_matmul_precision(precision)
        torch.set_default_dtype(dtype)
        torch.set_default_device(None)
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()
