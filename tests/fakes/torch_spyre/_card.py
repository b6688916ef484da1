"""The fake card: tensors whose device is `spyre:n` and whose values are in CPU memory."""

import weakref

import torch
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import torch_spyre

NAME = "spyre"
aten = torch.ops.aten
library = torch.library.Library("aten", "IMPL")  # registrations live as long as this object


class Memory:
    """Bytes of the fake card's tensors: now, and at most since the last reset."""

    def __init__(self):
        self.now = self.peak = 0

    def allocate(self, tensor):
        size = tensor.numel() * tensor.element_size()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(tensor, self.free, size)

    def free(self, size):
        self.now -= size

    def reset(self):
        self.peak = self.now
        torch_spyre.events.append("reset")


memory = Memory()


class SpyreTensor(torch.Tensor):
    """A tensor on the fake card."""

    @staticmethod
    def __new__(cls, values, index):
        return torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), dtype=values.dtype, device=torch.device(NAME, index)
        )

    def __init__(self, values, index):
        self.values = values
        memory.allocate(self)

    def __repr__(self, **options):
        return f"SpyreTensor({self.device}, {tuple(self.shape)})"

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        torch_spyre.queue()
        if operator is aten.copy_.default:
            values_of(args[0]).copy_(values_of(args[1]))
            return args[0]
        refuse_mixed(operator, args, kwargs)
        indices = [value.device.index for value in tree_iter((args, kwargs)) if isinstance(value, SpyreTensor)]
        target = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        args, kwargs = tree_map_only(SpyreTensor, values_of, (args, kwargs))
        output = operator(*args, **kwargs)
        if target is not None and target.type == "cpu":
            return output
        index = indices[0] if target is None else target.index or 0
        return tree_map_only(torch.Tensor, lambda values: SpyreTensor(values, index), output)


def values_of(tensor):
    return tensor.values if isinstance(tensor, SpyreTensor) else tensor


def refuse_mixed(operator, args, kwargs):
    devices = {
        str(value.device) for value in tree_iter((args, kwargs)) if isinstance(value, torch.Tensor) and value.dim()
    }
    if len(devices) > 1:
        raise RuntimeError(f"fake torch_spyre: {operator}: tensors are on several devices: {sorted(devices)}")


def empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return SpyreTensor(torch.empty_strided(size, stride, dtype=dtype), device.index or 0)


def empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return SpyreTensor(torch.empty(size, dtype=dtype), device.index or 0)


def register(module, name="spyre"):
    global NAME
    NAME = name
    _setup_privateuseone_for_python_backend(name, backend_module=module)
    library.impl("empty_strided", empty_strided, "PrivateUse1")
    library.impl("empty.memory_format", empty, "PrivateUse1")
