"""Install the wheel into empty environments and use it there: `make installs`, or `python -m tests.install --help`."""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from .tiny_model import write_collection, write_model

ROOT = Path(__file__).resolve().parents[1]
LOWEST = re.compile(r"^Requires-Dist: ([\w.-]+)>=([\w.]+)(?!.*extra == .(?:test|lint))", re.MULTILINE)
VERSIONS = "import sys, torch, transformers, numpy; print(sys.version.split()[0], 'torch', torch.__version__, \
'transformers', transformers.__version__, 'numpy', numpy.__version__)"
MODEL = "--platform cpu --model_name model"
# What must work, and what it must say. Every command runs in a folder with `model` and `collection`.
COMMANDS = (
    ("fmbench choose --help", "usage: fmbench choose"),
    ("driver --help", "usage: driver"),
    ("process --help", "usage: process"),
    ("fmbench backends", "cpu"),
    (f"driver {MODEL} --input_sizes 16 --batch_sizes 1,2 --reps 5 > run.log", ""),
    ("process --path run.log", '"thp": '),
    ("process --path run.log --plots plots", ""),
    ("fmbench show run.log", "model"),
    (f"fmbench retrieve evaluate {MODEL} --dataset collection > quality.log", ""),
    ("fmbench show quality.log", "nDCG@10"),
    (f"fmbench fidelity capture {MODEL} --dataset collection --out one", ""),
    (f"fmbench fidelity capture {MODEL} --dataset collection --out two", ""),
    ("fmbench fidelity compare one two", '"unequal": 0'),
)


def oldest(wheel: Path) -> str:
    """Return constraints: of everything that users of a wheel may need, the oldest version that it allows."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return "".join(f"{name}=={version}\n" for name, version in LOWEST.findall(archive.read(name).decode()))


def run(command: str, scripts: Path, folder: Path) -> str:
    """Run a command of an environment, print what it took, and return its output; SystemExit where it fails.

    `> file` keeps the output in the folder.
    """
    line, _, kept = command.partition(" > ")
    name, *words = shlex.split(line)
    start = time.monotonic()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [scripts / name, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    print(f"{time.monotonic() - start:7.1f} s  {command}", flush=True)
    if done.returncode:
        sys.exit(f"exit {done.returncode}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    if kept:
        (folder / kept).write_text(done.stdout)
    return done.stdout


def check(python: str, requirement: str, options: list[str], folder: Path) -> None:
    """Install a requirement with a Python into an empty environment in a folder, and try every command."""
    subprocess.run([python, "-m", "venv", folder / "env"], check=True)
    scripts = folder / "env" / "bin"
    run(shlex.join(["pip", "install", "--quiet", *options, requirement]), scripts, folder)
    print(run(f"python -c {shlex.quote(VERSIONS)}", scripts, folder).strip())
    write_model(folder / "model")
    write_collection(folder / "collection")
    for command, said in COMMANDS:
        output = run(command, scripts, folder)
        if said not in output:
            sys.exit(f"{command} does not say {said!r}:\n{output[-2000:]}")


def main() -> None:
    """Build the wheel once, and check it with every Python that is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.install", description=__doc__)
    parser.add_argument("pythons", nargs="*", default=[sys.executable], help="commands, such as python3.12")
    parser.add_argument("--oldest", action="store_true", help="with the oldest versions that pyproject.toml allows")
    parser.add_argument("--extras", default="retrieval", help="what else to install (default: retrieval)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as built:
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, str(ROOT)]
        subprocess.run(build, check=True)
        (wheel,) = Path(built).glob("*.whl")
        options = []
        if arguments.oldest:
            (Path(built) / "oldest.txt").write_text(oldest(wheel))
            options = ["--constraint", f"{built}/oldest.txt"]
        for python in arguments.pythons:
            with tempfile.TemporaryDirectory() as folder:
                check(python, f"{wheel}[{arguments.extras}]", options, Path(folder))


if __name__ == "__main__":
    main()
