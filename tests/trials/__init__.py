"""Trials of what is promised under load: counted, printed, and too long for `make test`."""
