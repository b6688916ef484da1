"""Files of older versions: what they hold is brought to today's version, one version at a time."""

from collections.abc import Callable, Mapping
from typing import Any

Data = dict[str, Any]
Step = Callable[[Data], Data]

# From version n to n + 1 of a result, as `process --schema` describes it (`schema`), and of the facts beside it in a
# store (`store`). Version 1 of both is the first, so that there is none yet. Who changes what they mean adds a step
# and a version, and a test sees to it.
RESULT: dict[int, Step] = {}
ENTRY: dict[int, Step] = {}


def upgraded(data: Data, key: str, newest: int, steps: Mapping[int, Step]) -> Data:
    """Return data of the newest version; `key` has its version. Raises ValueError for one that is newer than that."""
    version = data.get(key)
    if type(version) is not int or version < 1:
        raise ValueError(f"{key} is no version")
    if version > newest:
        raise ValueError(f"has {key} {version}, and this fmbench reads {newest}; upgrade it")
    while version < newest:
        data = {**steps[version](data), key: version + 1}
        version += 1
    return data
