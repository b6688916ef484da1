"""What the libraries say while they are imported, on every machine and to no purpose: that is not passed on.

Only these very messages are; whatever else a library says reaches the user.
"""

import logging

IMPORT_NOISE = {  # by logger: how the message begins
    "torchao": ("Failed to load ",),  # kernels of other processors and versions
    "torch.utils._pytree": ("%s is an Enum subclass and is now natively supported by torch.compile",),  # of torchao's
}


def quiet_imports() -> None:
    """Keep the messages of imports off stderr. Imports none of the libraries."""
    for name in IMPORT_NOISE:
        logging.getLogger(name).addFilter(passes)


def passes(record: logging.LogRecord) -> bool:
    """Whether a message is not one of these."""
    return not str(record.msg).startswith(IMPORT_NOISE[record.name])
