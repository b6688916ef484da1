"""How large the dashboard of 10,000 shapes is, how long it takes to make, and when a browser has it ready."""

import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

from fmbench import lines
from fmbench.process.dashboard.page import write_dashboard
from fmbench.process.reader import find_sources
from fmbench.process.records import read_records

MODELS = (
    ("sentence-transformers/all-MiniLM-L6-v2", "BertModel", 0.4),
    ("BAAI/bge-small-en-v1.5", "BertModel", 0.8),
    ("ibm-granite/granite-embedding-125m-english", "RobertaModel", 2.5),
    ("intfloat/multilingual-e5-large", "XLMRobertaModel", 8.0),
    ("Qwen/Qwen3-Embedding-0.6B", "Qwen3Model", 16.0),
)
PLATFORMS = (
    ("cpu", "AMD EPYC", 1.0),
    ("openvino", "AMD EPYC", 0.6),
    ("cuda", "NVIDIA H200", 0.02),
    ("spyre", "Spyre", 0.05),
)
DTYPES = (("float32", 1.0), ("bfloat16", 0.6))
INPUTS = tuple(16 * size for size in range(1, 26))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
REPETITIONS = 10


def write_logs(folder: Path, inputs: tuple[int, ...] = INPUTS, batches: tuple[int, ...] = BATCHES) -> None:
    """Write a log for each model, platform and dtype: 40 of them, 10,000 shapes in all, with noise and failures."""
    noise = random.Random(5)
    for (model, kind, work), (platform, device, speed), (dtype, share) in itertools.product(MODELS, PLATFORMS, DTYPES):
        path = folder / f"{platform}-{model.rpartition('/')[2]}-{dtype}.log"
        facts = {
            "fmbench": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
            "cpu": "AMD EPYC", "platform": platform, "device": device, "threads": 1, "model": model, "dtype": dtype,
            "load_average_start": round(noise.uniform(0, 2), 2), "timed": "forward", "attention": "sdpa",
        }  # fmt: skip
        with path.open("w", encoding="utf-8") as stream:
            head = [lines.Log({"format": lines.FORMAT_VERSION, "program": "bench"}), lines.Arg("model_name", model), lines.Arg("platform", platform),
                    lines.Env(facts), lines.Setup(1.5), lines.Phase({"name": "load", "seconds": 1.5})]  # fmt: skip
            stream.writelines(f"{line.format()}\n" for line in head)
            for size, batch in itertools.product(inputs, batches):
                seconds = 1e-3 * speed * share * (0.5 + work * size * batch / 64)
                failed = platform == "cuda" and size * batch > 180_000
                stream.writelines(
                    f"{line.format()}\n" for line in shape(noise, model, kind, size, batch, seconds, failed)
                )


def shape(noise, model: str, kind: str, size: int, batch: int, seconds: float, failed: bool) -> list[lines.Line]:
    """Return a shape's lines."""
    sizes = {"input_size": size, "batch_size": batch}
    case = lines.Case({**sizes, "tokens": size * batch, "reps": REPETITIONS, "flops": size * batch * 10**8})
    if failed:
        return [case, lines.Err({**sizes, "type": "OutOfMemoryError", "message": "CUDA out of memory"})]
    clock, durations = 1_700_000_000_000_000_000, []
    spread = noise.choice((0.003, 0.003, 0.003, 0.08))
    for index in range(REPETITIONS):
        durations.append(int(1e9 * seconds * (1 + abs(noise.gauss(0, spread))) * (20 if index == 0 else 1)))
    starts = [clock + sum(durations[:index]) for index in range(REPETITIONS)]
    middle = sorted(durations[2:])[len(durations[2:]) // 2] / 1e6
    peak = 10**8 + size * batch * 4096
    return [
        case,
        lines.Phase({"name": "compile", "seconds": round(noise.uniform(1, 3), 6), "inside": "repetition 1"}),
        *(lines.Rep(index + 1, REPETITIONS, start, start + duration, duration)
          for index, (start, duration) in enumerate(zip(starts, durations, strict=True))),
        lines.Mem({**sizes, "device_peak_bytes": peak, "host_peak_bytes": 2 * 10**9, "model_bytes": 10**8, "reason": None}),
        lines.Energy({**sizes, "joules": round(50 * seconds, 6), "joules_per_sequence": round(5 * seconds / batch, 9),
                      "seconds": round(10 * seconds, 6), "source": "counter", "reason": None}),
        lines.Res(clock, starts[-1] + durations[-1], model, kind, size, batch, middle, 1e3 * batch / middle),
    ]  # fmt: skip


def main() -> None:
    """Print size and seconds; with a path, leave the page there."""
    with tempfile.TemporaryDirectory() as folder:
        write_logs(Path(folder))
        start = time.perf_counter()
        records = list(read_records(find_sources([folder]), print))
        read = time.perf_counter() - start
        target = Path(sys.argv[1] if len(sys.argv) > 1 else f"{folder}/page.html")
        write_dashboard(records, target)
        print(
            f"{len(records)} shapes: {target.stat().st_size / 1e6:.2f} MB; read {read:.2f} s, page {time.perf_counter() - start - read:.2f} s"
        )


if __name__ == "__main__":
    main()
