import re

import pytest
import torch
import transformers

from fmbench.source import Entry, catalogue

WANTED = [
    "ibm-granite/granite-embedding-30m-english",
    "ibm-granite/granite-embedding-125m-english",
    "ibm-granite/granite-embedding-107m-multilingual",
    "ibm-granite/granite-embedding-278m-multilingual",
    "ibm-granite/granite-embedding-english-r2",
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
    "BAAI/bge-small-en-v1.5",
    "BAAI/bge-base-en-v1.5",
    "BAAI/bge-large-en-v1.5",
    "intfloat/e5-small-v2",
    "intfloat/e5-base-v2",
    "intfloat/e5-large-v2",
    "intfloat/multilingual-e5-large",
    "Alibaba-NLP/gte-modernbert-base",
    "nomic-ai/nomic-embed-text-v1.5",
    "Qwen/Qwen3-Embedding-0.6B",
    "Snowflake/snowflake-arctic-embed-m-v1.5",
]
UNITS = {"M": 1e6, "B": 1e9}


def test_the_catalogue_holds_what_it_promises() -> None:
    assert set(catalogue()) == set(WANTED)


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_parameter_count_is_the_published_one(entry: Entry) -> None:
    if not hasattr(transformers, entry.model_class):
        pytest.skip(f"transformers {transformers.__version__} has no {entry.model_class}")
    config = transformers.AutoConfig.for_model(**entry.config)
    with torch.device("meta"):
        built = getattr(transformers, entry.model_class)(config)
    count = sum(parameter.numel() for parameter in built.parameters())
    assert count == entry.parameters
    number, unit = re.fullmatch(r"([\d.]+)([MB])", entry.published).groups()
    published = float(number) * UNITS[unit]
    rounding = 0.5 * UNITS[unit] / 10 ** len(number.partition(".")[2])
    assert abs(count - published) <= max(rounding, 0.01 * published)


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_every_entry_names_its_source(entry: Entry) -> None:
    assert entry.source.startswith("https://") and entry.name in entry.source
