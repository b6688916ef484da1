"""Logs and files of results in; results out."""
