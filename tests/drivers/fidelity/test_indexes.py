import pytest
import torch
from torch.nn.functional import normalize

from fmbench.drivers.fidelity import indexes as residual
from fmbench.search.maxsim import max_sim


def vectors_of(texts=40, tokens=12, dimensions=10, seed=0):
    """Token vectors of texts of different lengths, one of them empty, and where each begins."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, tokens, (texts,), generator=generator)
    lengths[3] = 0
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    rows = normalize(torch.randn(int(starts[-1]), dimensions, generator=generator), dim=-1)
    return rows, starts


def test_buckets_are_packed_highest_bits_first_and_come_back():
    buckets = torch.tensor([[1, 15, 0], [7, 2, 9]])
    packed = residual.pack(buckets)
    assert packed.tolist() == [[0x1F, 0x00], [0x72, 0x90]]
    assert residual.unpack(packed, 3).tolist() == buckets.tolist()


def test_spans_are_ranges_one_after_the_other():
    begin, end = torch.tensor([4, 0, 7]), torch.tensor([6, 0, 10])
    assert residual.spans(begin, end).tolist() == [4, 5, 7, 8, 9]


def test_an_index_holds_what_its_definition_says():
    rows, starts = vectors_of()
    index = residual.build(rows.numpy(), starts, 5)
    assert set(index.parts) == set(residual.NAMES)
    count = residual.centroid_count(len(rows))
    assert index["centroids"].shape == (count, 10) and count & (count - 1) == 0
    assert torch.equal(index["codes"].long(), (rows @ index["centroids"].T).argmax(dim=1))
    assert len(index["cutoffs"]) == 15 and len(index["weights"]) == 16
    assert torch.equal(index["cutoffs"].sort().values, index["cutoffs"])
    for centroid in range(count):
        begin, end = index["list_starts"][centroid : centroid + 2].tolist()
        wanted = {text for text in range(40) if centroid in index["codes"][starts[text] : starts[text + 1]].tolist()}
        assert index["lists"][begin:end].tolist() == sorted(wanted)
    near = residual.decompress(index, torch.arange(len(rows)))
    left = rows - index["centroids"][index["codes"].long()]
    buckets = residual.unpack(index["residuals"], 10)
    assert torch.equal(buckets, torch.bucketize(left, index["cutoffs"]))
    assert torch.allclose(near, normalize(rows - left + index["weights"][buckets], dim=-1))
    assert (near * rows).sum(dim=1).mean() > 0.98  # four bits a dimension
    again = residual.build(rows.numpy(), starts, 5)
    assert all(torch.equal(index[name], again[name]) for name in residual.NAMES)


def test_a_search_finds_what_max_sim_over_its_vectors_finds():
    rows, starts = vectors_of()
    index = residual.build(rows.numpy(), starts, 5)
    query = rows[starts[7] : starts[8]]
    places, scores = residual.search(index, query, 5)
    near = residual.decompress(index, torch.arange(len(rows)))
    wanted = max_sim(query, near, starts)
    assert places[0] == 7
    assert scores.tolist() == pytest.approx(wanted[places].tolist())
