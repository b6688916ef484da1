import torch

from fmbench.torch_settings import CompilationWatch


def test_compilations_and_recompilations_are_seen() -> None:
    torch._dynamo.reset()  # forgets callbacks too
    watch = CompilationWatch()
    watch.install()
    compiled = torch.compile(lambda x: x * 2 + 1, backend="eager", dynamic=False)
    compiled(torch.ones(3))
    first = watch.count
    assert first >= 1 and watch.seconds > 0
    compiled(torch.ones(3))
    assert watch.count == first
    compiled(torch.ones(4))
    assert watch.count > first


def test_an_end_without_a_start_counts_nothing() -> None:
    watch = CompilationWatch()
    watch.end()
    assert (watch.count, watch.seconds) == (0, 0.0)
