"""An encoder of somebody else, in an environment of its own: `python peer.py NAME MODEL THREADS EXPORTS TEXTS`.

`python peer.py versions` prints those of its libraries instead.

NAME is one of PEERS. A line with a JSON list of texts is answered by one with [seconds, vectors]. What is exported is
kept in the folder EXPORTS; what learns from texts reads those of the JSON lines TEXTS. Imports nothing of fmbench.
"""

import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

# What its users can choose, and the type that it computes in here, where OpenVINO takes bfloat16 by itself.
PEERS = {
    "torch": "float32", "bf16": "bfloat16", "onnx": "float32", "onnx O3": "float32", "onnx int8": "int8",
    "openvino f32": "float32", "openvino": "bfloat16", "openvino int8": "int8", "fastembed": "float32",
}  # fmt: skip
LIBRARIES = (
    "torch", "transformers", "sentence-transformers", "optimum", "optimum-onnx", "optimum-intel", "onnxruntime",
    "openvino", "nncf", "fastembed",
)  # fmt: skip
LONGEST = 256  # tokens of a text, as the folder of all-MiniLM-L6-v2 has it
FILES = {
    "onnx O3": "model_O3.onnx", "onnx int8": "model_qint8_avx512_vnni.onnx",
    "openvino int8": "openvino_model_qint8_quantized.xml",
}  # fmt: skip


def sentence_transformer(name, folder, threads, exports, texts):
    """Return SentenceTransformer.encode of one of its engines."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    engine, _, form = name.partition(" ")
    if engine in ("torch", "bf16"):
        more = {"model_kwargs": {"torch_dtype": torch.bfloat16}} if engine == "bf16" else {}
        return SentenceTransformer(folder, device="cpu", **more).encode
    there = exports / engine
    if not there.is_dir():
        SentenceTransformer(folder, device="cpu", backend=engine).save_pretrained(str(there))
    if name in FILES and not (there / engine / FILES[name]).is_file():
        export(name, SentenceTransformer(str(there), device="cpu", backend=engine), str(there), texts)
    options = settings(engine, form, threads)
    if name in FILES:
        options["file_name"] = FILES[name]
    return SentenceTransformer(str(there), device="cpu", backend=engine, model_kwargs=options).encode


def settings(engine, form, threads):
    """Return the options of an engine with so many threads."""
    if engine == "openvino":
        precision = {"INFERENCE_PRECISION_HINT": "f32"} if form == "f32" else {}
        return {"ov_config": {"INFERENCE_NUM_THREADS": threads, **precision}}
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return {"session_options": options, "provider": "CPUExecutionProvider"}


def export(name, model, there, texts):
    """Write another form of an exported model, by the library's own functions."""
    import sentence_transformers as library

    if name == "onnx O3":
        library.export_optimized_onnx_model(model, "O3", there)
    elif name == "onnx int8":
        library.export_dynamic_quantized_onnx_model(model, "avx512_vnni", there)
    else:
        import datasets
        from optimum.intel import OVQuantizationConfig, OVQuantizer

        rows = [json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines()]

        def learned(self, *_, preprocess_function, **more):  # in place of a data set of the hub
            found = datasets.Dataset.from_dict({"sentence": rows})
            return found.map(preprocess_function, batched=True, remove_columns=["sentence"])

        OVQuantizer.get_calibration_dataset = learned
        library.export_static_quantized_openvino_model(model, OVQuantizationConfig(num_samples=len(rows)), there)


def fastembed(threads, exports):
    """Return fastembed on the ONNX file that sentence-transformers exported."""
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="peer", pooling=PoolingType.MEAN, normalization=True, sources=ModelSource(url="https://none"), dim=384,
        model_file="onnx/model.onnx",
    )  # fmt: skip
    model = TextEmbedding("peer", threads=threads, specific_model_path=str(exports / "onnx"))
    model.model.tokenizer.enable_truncation(LONGEST)  # as the others; by itself it cuts at the 128 of tokenizer.json
    return lambda texts: np.array(list(model.embed(texts)))


def versions():
    """Return the versions of the libraries that are there."""
    return {one.name: one.version for one in metadata.distributions() if one.name in LIBRARIES}


def main():
    """Answer until the input ends."""
    if sys.argv[1:] == ["versions"]:
        return print(json.dumps(versions()))
    name, folder, threads, exports, texts = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    if name == "fastembed":
        encode = fastembed(int(threads), Path(exports))
    else:
        encode = sentence_transformer(name, folder, int(threads), Path(exports), Path(texts))
    for line in sys.stdin:
        seconds, vectors = [], None
        for asked in json.loads(line):
            start = time.perf_counter()
            vectors = encode(asked)
            seconds.append(time.perf_counter() - start)
        answers.write(json.dumps([seconds, [{}] * len(seconds), vectors.tolist()]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
