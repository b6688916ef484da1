import torch

from fmbench.measure import TokenGenerator


def batches(generator: TokenGenerator, shape: tuple[int, int], count: int) -> list[torch.Tensor]:
    generator.start(*shape)
    return [generator.batch()["input_ids"] for _ in range(count)]


def test_form() -> None:
    generator = TokenGenerator(100, (), seed=0)
    generator.start(16, 4)
    batch = generator.batch()
    assert set(batch) == {"input_ids", "attention_mask"}
    for tensor in batch.values():
        assert (tensor.shape, tensor.dtype) == ((4, 16), torch.int64)
    assert bool((batch["attention_mask"] == 1).all())


def test_uniform_over_the_vocabulary_without_special_ids() -> None:
    special = {0, 3, 9, 500}
    (ids,) = batches(TokenGenerator(10, special, seed=1), (1000, 60), 1)
    counts = torch.bincount(ids.flatten(), minlength=10)
    assert set(counts.nonzero().flatten().tolist()) == set(range(10)) - special
    ordinary = counts[[1, 2, 4, 5, 6, 7, 8]].double()
    expected = 60_000 / 7
    chi_square = float(((ordinary - expected) ** 2 / expected).sum())
    assert chi_square < 22.5  # 99.9% of a chi-square with 6 degrees of freedom


def test_fresh_every_repetition_and_the_same_for_the_same_seed() -> None:
    first = batches(TokenGenerator(1000, (), seed=5), (32, 2), 3)
    assert not torch.equal(first[0], first[1])
    again = batches(TokenGenerator(1000, (), seed=5), (32, 2), 3)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    other = batches(TokenGenerator(1000, (), seed=6), (32, 2), 1)
    assert not torch.equal(first[0], other[0])


def test_a_shape_sees_the_same_tokens_alone_and_in_a_sweep() -> None:
    alone = batches(TokenGenerator(1000, (), seed=5), (64, 2), 2)
    sweep = TokenGenerator(1000, (), seed=5)
    batches(sweep, (32, 2), 4)
    after = batches(sweep, (64, 2), 2)
    assert all(torch.equal(one, other) for one, other in zip(alone, after, strict=True))
