"""Tasks beyond retrieval: the user's own in files, and MTEB's; how good an encoder's vectors are for each of them."""

from .named import KeptTasks, LocalTask, Named, TaskScore, compare_tasks, prepare, read_named

__all__ = ["KeptTasks", "LocalTask", "Named", "TaskScore", "compare_tasks", "prepare", "read_named"]
