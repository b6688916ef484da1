"""The fingerprint: what software measured. Collected, never typed in, and free of names unless told otherwise."""

import getpass
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fmbench import __version__
from fmbench.answers import is_line
from fmbench.console import warn
from fmbench.precision import spelled
from fmbench.secrets import masked, sealed

GIT_SECONDS = 60.0  # a disk may be slow, and a checkout large
PACKAGES = ("torch", "transformers", "numpy", "tokenizers", "safetensors")

# These change from run to run on one machine; two runs that differ in nothing else may be compared.
CIRCUMSTANCES = {
    "load_average_start", "load_average_end", "steal_seconds_start", "steal_seconds_end", "cpu_mhz_start",
    "cpu_mhz_end", "clock_sm_mhz", "host", "user", "folder", "openvino_graphs", "openvino_threads",
    "openvino_pinning", "openvino_streams", "products", "least_cosine", "onnxruntime_nodes", "onnxruntime_threads",
    "onnxruntime_streams",
}  # fmt: skip

# What fmbench says itself of a run, of its machine and of its model: no platform may say it otherwise.
OWN = frozenset((
    "fmbench", "fmbench_commit", "python", "packages", "variables", "timed", "seed", "host", "user", "folder",
    "system", "machine", "cpu", "cpu_stepping", "cpu_cores", "cpus", "cpus_usable", "cpu_quota", "cpu_governor",
    "cpu_mhz_max", "numa_nodes", "numa_nodes_usable", "memory_bytes", "memory_limit_bytes", "container",
    "virtual_machine", "load_average_start", "load_average_end", "steal_seconds_start", "steal_seconds_end",
    "cpu_mhz_start", "cpu_mhz_end", "platform", "threads", "pinned_cpus", "gradients", "compile", "options",
    "torch_settings", "model", "model_class", "model_source", "weights", "weights_missing", "model_digest",
    "model_parts", "published", "parameters", "model_bytes", "dtype", "attention", "use_cache", "maximum_length",
    "training", "variant", "task", "texts", "data", "recipe", "late_interaction", "head", "head_digest",
    "tokens_per_batch", "query_models", "serving", "index", "passages", "queries", "captures", "similarity",
    "dimension", "dimensions", "client", "prompts", "differing",
))  # fmt: skip

# What a platform says in words: a name of something, or None while that is not known.
WORDS = "device", "device_name", "precision", "simulated"

# Environment variables that decide a figure, by how their names begin, and of those the ones that change what is
# computed; where things are cached, found or logged, and which of equal devices is seen, decides nothing, nor does what
# scikit-learn sets for whoever imports it.
ARITHMETIC = (
    "ATEN_", "BLIS_", "CUBLAS_", "CUDNN_", "DNNL_", "HIPBLASLT_",
    "HSA_OVERRIDE_GFX_VERSION", "MIOPEN_", "MKL_", "NVIDIA_TF32_OVERRIDE", "ONEDNN_", "OPENBLAS_",
    "PYTORCH_", "PT_HPU_", "ROCBLAS_", "TORCH_", "TORCHDYNAMO_", "TORCHINDUCTOR_", "TRITON_", "USE_HUB_KERNELS",
)  # fmt: skip
PACE = (
    "CUDA_", "GLIBC_TUNABLES", "GOMP_", "HABANA_", "HIP_", "HSA_", "KMP_", "LD_PRELOAD", "MALLOC_", "NCCL_", "OMP_",
    "OPENVINO_", "OV_", "RAYON_", "TOKENIZERS_PARALLELISM",
)  # fmt: skip
ELSEWHERE = re.compile(
    r"(?!HSA_OVERRIDE).*_(CACHE|CACHE_DIR|CACHE_PATH|DIR|HOME|LOGS|LOGS_FORMAT|LOGS_OUT|PATH|ROOT|TRACE|VERSION)"
)
UNSEEN = {
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",
    "TORCH_CPP_LOG_LEVEL",
}  # fmt: skip
THREADS = re.compile(r".*_NUM_THREADS")
FOLDERS = re.compile(r"(?<![^\s:,;=])[~/][^\s:,;]*/")

# The first versions did not print these; nobody knows what they were. Some are of one platform: others never say them.
OF_PLATFORM = "mkl", "onednn"
LATER = "cpu_stepping", "variables", "torch_settings", "recipe", "head_digest", "data", "query_models", *OF_PLATFORM
SOURCE = Path(__file__).resolve().parent
MEASURES = ("fmbench", "drivers", "backends")  # folders of a checkout
COMMIT = re.compile("[0-9a-f]{7,40}")
SHA256 = re.compile("[0-9a-f]{64}")
DIGEST, MODEL = "model_digest", "model_parts"


def fault_of(said: Mapping[str, Any]) -> str | None:
    """Return why facts are not a platform's to say, or None."""
    if taken := sorted(OWN & said.keys()):
        return f"{', '.join(taken)}: fmbench says this; take other names"
    odd = (name for name in WORDS if not (said.get(name) is None or (is_line(said[name]) and said[name].strip())))
    return next((f"{name} is said in words, or None: not {said[name]!r}" for name in odd), None)


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    return {name: version for name in names if (version := package_version(name)) is not None}


def software_facts(extra: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the versions of Python, fmbench and the libraries that decide a figure."""
    return {
        "fmbench": __version__,
        "fmbench_commit": commit(),
        "python": platform.python_version(),
        "packages": versions((*PACKAGES, *extra)),
    }


@cache
def commit() -> str | None:
    """Return the git commit of a checkout that fmbench runs from, with + where files differ; None if installed."""
    if not (SOURCE.parent / ".git").exists():
        return None
    try:
        head = git(SOURCE, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if git(SOURCE, "status", "--porcelain", "--untracked-files=no") else "")
    except subprocess.TimeoutExpired:
        warn(f"git did not answer within {GIT_SECONDS:g} s: of which commit fmbench is, nobody will know")
        return None
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def measures_alike(one: str | None, other: str | None) -> bool:
    """Whether nothing that measures differs between two commits of this checkout; of files that differ nobody knows."""
    commits = [name for name in (one, other) if name and COMMIT.fullmatch(name)]
    try:
        return len(commits) == 2 and not git(SOURCE.parent, "diff", "--name-only", *commits, "--", *MEASURES)
    except (OSError, subprocess.SubprocessError):
        return False


def git(folder: Path, *arguments: str) -> str:
    """Return what a git command prints."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)  # noqa: S603
    return done.stdout.strip()


def discreet(value: Any) -> Any:
    """Return facts without the folders of this machine: of an absolute path, its last name stays."""
    if isinstance(value, Mapping):
        return {key: discreet(below) for key, below in value.items()}
    if isinstance(value, list):
        return [discreet(below) for below in value]
    if isinstance(value, str) and (value.startswith(("/", "~")) or " /" in value):
        return " ".join(Path(word).name if word.startswith(("/", "~")) else word for word in value.split(" "))
    return value


def disclosed_facts() -> dict[str, Any]:
    """Return who and where, for --disclose only."""
    return {"host": socket.gethostname(), "user": getpass.getuser(), "folder": str(Path.cwd())}


def variables(beginnings: tuple[str, ...] = (*ARITHMETIC, *PACE)) -> dict[str, str]:
    """Return the environment variables that decide a figure, as far as they are set; of paths, the last name."""
    return {
        name: FOLDERS.sub("", masked(name, value, sealed))
        for name, value in sorted(os.environ.items())
        if name.startswith(beginnings) and name not in UNSEEN and not ELSEWHERE.fullmatch(name)
    }


def arithmetic_variables() -> dict[str, str]:
    """Return the environment variables that change what is computed, beyond how its sums are cut among threads."""
    return {name: value for name, value in variables(ARITHMETIC).items() if not THREADS.fullmatch(name)}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the facts of two fingerprints that differ, but for circumstances; nested ones as `packages.torch`.

    What a fingerprint of an earlier version could not say is left out: `unsaid` names it. A precision that is null is
    not known yet; where one side says none, it is the type of its weights.
    """
    left, right = flat(in_common(one, other)), flat(in_common(other, one))
    if "precision" in left or "precision" in right:
        computed = [side.pop("precision", side.get("dtype")) for side in (left, right)]
        if None not in computed:
            left["precision"], right["precision"] = (spelled(str(name)) for name in computed)
    told = (key for key in left.keys() | right.keys() if key.removeprefix("variables.") not in UNSEEN)
    keys = sorted(key for key in told if key.partition(".")[0] not in CIRCUMSTANCES)
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def in_common(facts: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as far as another fingerprint could say them too: the parts of a model where both have them.

    The first versions printed one digest, of the weights alone, as the whole model's.
    """
    kept = {key: value for key, value in facts.items() if key not in LATER or key in other}
    if DIGEST not in facts or DIGEST not in other or not (MODEL in facts or MODEL in other):
        return kept
    del kept[DIGEST]
    common = parts_of(facts).keys() & parts_of(other).keys()
    return {**kept, MODEL: {part: digest for part, digest in parts_of(facts).items() if part in common}}


def parts_of(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is known of a model's parts.

    Of random weights, a digest of the first versions holds versions and places that a folder's config.json names.
    """
    if MODEL in facts:
        return facts[MODEL] if isinstance(facts[MODEL], Mapping) else {}
    drawn = facts.get("weights") == "random" and facts.get("model_source") != "catalogue"
    return {} if drawn else {"weights": facts[DIGEST]}


def unsaid(facts: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return what another fingerprint says and these facts, of an earlier version, could not."""
    alike = facts.get("platform") == other.get("platform")
    later = [name for name in LATER if name in other and name not in facts and (alike or name not in OF_PLATFORM)]
    if DIGEST not in facts or DIGEST not in other:
        return later
    return [*(f"{MODEL}.{part}" for part in parts_of(other) if part not in parts_of(facts)), *later]


def said_of(name: str, one: Any, other: Any) -> str:
    """Return how a fact differs, in words: of a digest there is nothing to read."""
    above, _, part = name.rpartition(".")
    if above != MODEL:
        return f"{name}: {one} then, {other} now"
    return f"the {part} {'are others' if part in ('weights', 'modules') else 'is another'} now"


def short(value: Any) -> Any:
    """Return a fact as a message has it: the beginning of a sha256 tells it from others."""
    return value[:12] if isinstance(value, str) and SHA256.fullmatch(value) else value


def flat(facts: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested facts under dotted keys."""
    found: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{above}{key}."))
        else:
            found[f"{above}{key}"] = value
    return found
