"""What an engine's own kernels reach on this machine: a large matrix product in each type that it multiplies."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDE, CALLS = 2048, 4  # of the matrices; the fastest of so many products counts
Product = Callable[[], Any]
TYPES = ("float32", "bfloat16", "int8")


def products(threads: int) -> dict[str, Product]:
    """Return a product of two square matrices by "engine, type", with so many threads; weights are constants."""
    import torch

    torch.set_num_threads(threads)
    found = {f"torch, {kind}": torch_product(kind) for kind in TYPES}
    found |= {f"OpenVINO, {kind}": openvino_product(kind, threads) for kind in TYPES}
    return found | {f"ONNX Runtime, {kind}": onnx_product(kind, threads) for kind in TYPES if kind != "bfloat16"}


def rate(product: Product) -> float:
    """Return the operations a second of the fastest call, after one that does not count."""
    product()
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds)


def torch_product(kind: str) -> Product:
    """Return torch's, in 8 bits that of torchao's kernels."""
    import torch

    matrix = torch.ones(SIDE, SIDE, dtype=getattr(torch, kind))
    multiply = torch._int_mm if kind == "int8" else torch.mm  # the latter wraps 8 bits, and is slow
    return lambda: multiply(matrix, matrix)


def numbers() -> np.ndarray:
    """Return a square matrix of numbers between -1 and 1."""
    return np.random.default_rng(0).uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)


def openvino_product(kind: str, threads: int) -> Product:
    """Return OpenVINO's; in 8 bits with the same steps before and after it as in a graph of NNCF's."""
    import openvino
    from openvino import opset13

    given = opset13.parameter([SIDE, SIDE], np.float32)
    weights = opset13.constant(numbers())
    factors = (given, weights)
    if kind == "int8":
        low, high = np.float32(-1), np.float32(1)
        factors = (
            opset13.fake_quantize(given, low, high, low, high, 256),
            opset13.fake_quantize(weights, -high, high, -high, high, 255),
        )
    graph = openvino.Model([opset13.matmul(*factors, False, True)], [given])
    hint = "bf16" if kind == "bfloat16" else "f32"
    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    request = openvino.compile_model(graph, "CPU", config).create_infer_request()
    request.set_input_tensor(openvino.Tensor(numbers()))
    return request.infer


def onnx_product(kind: str, threads: int) -> Product:
    """Return ONNX Runtime's, which has none in bfloat16; in 8 bits without the steps before and after it."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    left = numbers()
    right, operation, types = left, "MatMul", (TensorProto.FLOAT, TensorProto.FLOAT)
    if kind == "int8":
        left, right = ((left * 64 + shift).astype(to) for shift, to in ((128, np.uint8), (0, np.int8)))
        operation, types = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32)
    given, result = (
        helper.make_tensor_value_info(name, each, [SIDE, SIDE]) for name, each in zip("xy", types, strict=True)
    )
    node = helper.make_node(operation, ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", [given], [result], [numpy_helper.from_array(right, "w")])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "product.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), file)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": left})
