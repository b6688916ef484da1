"""What the fake runtime runs on: PJRT_DEVICE says."""

import os


def device_type():
    return os.environ.get("PJRT_DEVICE", "CPU")
