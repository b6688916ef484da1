"""Run every trial: `python -m tests.trials`."""

from . import signals

if __name__ == "__main__":
    signals.main()
