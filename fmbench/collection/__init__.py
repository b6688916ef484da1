"""Test collections: documents, queries, and the judgements of what is relevant to what.

Files are recognised by their content, never by their name: JSON lines or TSV, plain, gzip, bzip2, xz or Zstandard.
What is not understood is refused; nothing is guessed.

They are streamed, again and again where that is needed; only ids are ever held in memory all at once.

An id is any text that is not empty, spaces included, and is never changed: an encoded id would match nothing that
another program wrote. A format that cannot hold an id (TSV: a tab or a line break; a TREC run: any blank) refuses it
and names it; JSON lines hold every id.
"""

from .dataset import Dataset
from .document import Document
from .qrels import Qrels
from .texts import Texts

__all__ = ["Dataset", "Document", "Qrels", "Texts"]
