"""Waiting and memory of the fake."""

import torch_xla


def wait_device_ops():
    torch_xla.events.append("wait")


def get_memory_info(device):
    return {"bytes_used": 100, "bytes_limit": 1000}
