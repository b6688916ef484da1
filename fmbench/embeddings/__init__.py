"""Vectors on disk: encoded once, served for exactly what they are of, read a block at a time."""

from .embeddings import Block, Embeddings
from .store import open_or_encode

__all__ = ["Block", "Embeddings", "open_or_encode", "share"]
