import numpy as np
import pytest


def collection(seed, queries=40, documents=60, gains=(0, 1, 2, 3), depth=30):
    """Random judgements and a random run with many equal scores. One judged query in ten has no results."""
    generator = np.random.default_rng(seed)
    names = [f"d{number}" for number in range(documents)]
    qrels, run = {}, {}
    for number in range(queries):
        judged = generator.choice(names, generator.integers(1, 12), replace=False)
        qrels[f"q{number}"] = {str(name): float(generator.choice(gains)) for name in judged}
        if number % 10:
            found = generator.choice(names, generator.integers(1, depth), replace=False)
            run[f"q{number}"] = {str(name): float(generator.integers(0, 8)) / 8 for name in found}
    run["unjudged"] = {"d1": 1.0}
    return run, qrels


@pytest.fixture
def make_collection():
    return collection
