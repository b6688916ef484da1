"""A FAKE torch_npu: importing it registers the device `npu` and `torch.npu`, on the fake card of torch_spyre."""

import torch_spyre
from torch_spyre import _card

module = torch_spyre.make_module()
module.get_device_name = lambda index=None: "FakeAscend"
module.empty_cache = lambda: None
module.max_memory_allocated = lambda: _card.memory.peak
module.reset_peak_memory_stats = _card.memory.reset
module.mem_get_info = lambda index=None: (2**20, 2**21)
_card.register(module, "npu")
npu_fusion_attention = None  # transformers imports it where it finds the package
