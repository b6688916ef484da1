"""A capture: a folder with what a model computed, which `fmbench fidelity capture` writes."""
