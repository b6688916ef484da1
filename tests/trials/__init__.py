"""Trials: what takes minutes to try and is counted, not asserted. `make trials` runs them."""
