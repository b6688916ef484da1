"""Fidelity: what a model computed, kept on disk as artifacts, and how two captures of it differ."""
