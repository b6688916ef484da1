"""A few damages of tests/trials/damaged_fields.py: no field of any line ends a program with an internal error."""

import random

from tests.trials.damaged_fields import GOLDEN, damages, internal_errors


def test_no_damaged_field_is_an_internal_error():
    every = [text for path in GOLDEN for text in damages(path.read_text())]
    assert [internal_errors(text, pictures=False) for text in random.Random(7).sample(every, 20)] == [[]] * 20


def test_the_medians_of_processes_are_numbers():
    (golden,) = (path for path in GOLDEN if path.parent.name == "golden-processes")
    texts = [text for text in damages(golden.read_text()) if '"medians": [{' in text]
    assert [internal_errors(text, pictures=False) for text in texts] == [[]] * 2
