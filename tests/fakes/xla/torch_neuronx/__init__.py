"""A FAKE torch_neuronx, which brings its device to torch_xla."""

import torch_xla  # noqa: F401
