"""The module's first name, by which sentence-transformers imports it for folders that were saved then."""

from fmbench.sentence_module import RecurrentModule

__all__ = ["RecurrentModule"]
