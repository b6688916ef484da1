"""The dashboard of 10,000 shapes: how large it is, how long it takes to make, and when a browser has it ready."""

import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fmbench import lines
from fmbench.process.dashboard.page import write_dashboard
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from tests.browser import browser, why_not

# Name, class and how much work a token is.
MODELS = (
    ("sentence-transformers/all-MiniLM-L6-v2", "BertModel", 0.4),
    ("BAAI/bge-small-en-v1.5", "BertModel", 0.8),
    ("ibm-granite/granite-embedding-125m-english", "RobertaModel", 2.5),
    ("intfloat/multilingual-e5-large", "XLMRobertaModel", 8.0),
    ("Qwen/Qwen3-Embedding-0.6B", "Qwen3Model", 16.0),
)
PLATFORMS = (("cpu", "AMD EPYC", 1.0), ("openvino", "AMD EPYC", 0.6), ("cuda", "NVIDIA", 0.02), ("spyre", "AIU", 0.05))
DTYPES = (("float32", 1.0), ("bfloat16", 0.6))
INPUTS = tuple(16 * size for size in range(1, 26))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
REPETITIONS = 10
TOO_LARGE = 180_000  # tokens a batch: out of memory on one of the platforms
ROUNDS = 5


@dataclass(frozen=True)
class Sweep:
    """What one log is of. The figures are drawn, not measured."""

    model: str
    model_class: str
    platform: str
    device: str
    dtype: str
    work: float
    start: int  # nanoseconds since the epoch

    def head(self, noise: random.Random) -> list[lines.Line]:
        """Return the lines before the first shape."""
        facts = {
            "fmbench": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
            "cpu": "AMD EPYC", "platform": self.platform, "device": self.device, "threads": 1, "model": self.model,
            "dtype": self.dtype, "load_average_start": round(noise.uniform(0, 2), 2), "attention": "sdpa",
        }  # fmt: skip
        return [
            lines.JsonLine("LOG", {"format": lines.FORMAT_VERSION, "program": "bench"}),
            lines.Arg("model_name", self.model),
            lines.Arg("platform", self.platform),
            lines.JsonLine("ENV", facts),
            lines.Setup(1.5),
            lines.JsonLine("PHASE", {"name": "load", "seconds": 1.5}),
        ]

    def shape(self, noise: random.Random, size: int, batch: int) -> list[lines.Line]:
        """Return a shape's lines: repetitions and all that follows from them, or a failure."""
        sizes = {"input_size": size, "batch_size": batch}
        case = lines.JsonLine(
            "CASE", {**sizes, "tokens": size * batch, "reps": REPETITIONS, "flops": size * batch * 10**8}
        )
        if self.platform == PLATFORMS[2][0] and size * batch > TOO_LARGE:
            return [case, lines.JsonLine("ERR", {**sizes, "type": "OutOfMemoryError", "message": "out of memory"})]
        seconds = 1e-3 * self.work * (0.5 + size * batch / 64)
        spread = noise.choice((0.003, 0.003, 0.003, 0.08))
        durations = [int(1e9 * seconds * (1 + abs(noise.gauss(0, spread)))) for _ in range(REPETITIONS)]
        ends = list(itertools.accumulate(durations, initial=self.start))
        latency = statistics.median(durations[2:]) / 1e6
        energy = {"joules": 50 * seconds, "joules_per_sequence": 5 * seconds / batch, "seconds": 10 * seconds}
        compiled = {"name": "compile", "seconds": round(noise.uniform(1, 3), 6), "inside": "repetition 1"}
        return [
            case,
            lines.JsonLine("PHASE", compiled),
            *(
                lines.Rep(place + 1, REPETITIONS, ends[place], ends[place + 1], durations[place])
                for place in range(REPETITIONS)
            ),
            lines.JsonLine("MEM", {**sizes, "device_peak_bytes": 10**8 + size * batch * 4096, "model_bytes": 10**8}),
            lines.JsonLine("ENERGY", {**sizes, **energy, "source": "counter", "reason": None}),
            lines.Res(ends[0], ends[-1], self.model, self.model_class, size, batch, latency, 1e3 * batch / latency),
        ]


def write_logs(folder: Path) -> None:
    """Write a log for each model, platform and dtype: 40 of them, 10,000 shapes in all, with noise and failures."""
    noise = random.Random(5)
    for number, (named, placed, typed) in enumerate(itertools.product(MODELS, PLATFORMS, DTYPES)):
        (model, kind, work), (platform, device, speed), (dtype, share) = named, placed, typed
        start = (1_700_000_000 + 3600 * number) * 10**9
        sweep = Sweep(model, kind, platform, device, dtype, work * speed * share, start)
        found = sweep.head(noise)
        for size, batch in itertools.product(INPUTS, BATCHES):
            found += sweep.shape(noise, size, batch)
        name = f"{platform}-{model.rpartition('/')[2]}-{dtype}.log"
        (folder / name).write_text("".join(f"{line.format()}\n" for line in found), encoding="utf-8")


def write_page(target: Path) -> tuple[float, float]:
    """Write the page; return the seconds that reading the logs took, and those of the page itself."""
    with tempfile.TemporaryDirectory() as folder:
        write_logs(Path(folder))
        start = time.perf_counter()
        results = list(read_results(find_sources([folder]), print))
        read = time.perf_counter()
        write_dashboard(results, target)
        return read - start, time.perf_counter() - read


def loads(page: Path) -> Iterator[tuple[float, float, float]]:
    """Yield, each time in a browser of its own, the seconds from opening the page to a table that answers, to charts,
    and those that the page's thread computed until then, which other work on the machine hardly lengthens.
    """
    for _ in range(ROUNDS):
        with browser() as driver:
            driver.get("about:blank")
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            driver.get(page.as_uri())
            deadline = time.monotonic() + 60
            while not driver.execute_script("return document.documentElement.dataset.ready"):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{page} is not ready after a minute")
                time.sleep(0.1)
            mark = "return performance.getEntriesByName(arguments[0])[0].startTime / 1000"
            table, charts = (driver.execute_script(mark, f"fmbench-{name}") for name in ("table", "charts"))
            metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            yield table, charts, next(entry["value"] for entry in metrics if entry["name"] == "TaskDuration")


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (what, the target, the figure)."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        _, seconds = write_page(page)
        yield "`process --dashboard`, 10,000 shapes: size", "6 MB", f"{page.stat().st_size / 1e6:.2f} MB"
        yield "the same: to make the page of results that are read", "", f"{seconds:.1f} s"
        if why_not() is None:
            table, charts, work = (statistics.median(times) for times in zip(*loads(page), strict=True))
            yield "the same: in Chromium, from opening to a table that answers", "2 s", f"{table:.2f} s"
            yield "the same: to charts", "2 s", f"{charts:.2f} s"
            yield "the same: of that, the page's own computing", "", f"{work:.2f} s"


def main() -> None:
    """Print the figures; with a path, leave the page there instead."""
    if len(sys.argv) > 1:
        write_page(Path(sys.argv[1]))
        return
    for row in rows():
        print(" | ".join(row))


if __name__ == "__main__":
    main()
