"""The first name of the module in folders of recurrent students: their modules.json has sentence-transformers import it."""

from fmbench.sentence_module import RecurrentModule

__all__ = ["RecurrentModule"]
