"""Vectors on disk: encoded once, served for exactly what they are of, read a block at a time."""

from .arguments import add_cache_arguments
from .embeddings import Block, Embeddings
from .store import open_or_encode

__all__ = ["Block", "Embeddings", "add_cache_arguments", "open_or_encode"]
