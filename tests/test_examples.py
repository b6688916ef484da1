"""Third-party platforms: the example package, one that is broken, and one that takes a name of ours."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fmbench import distribution as own
from fmbench.facts import OWN
from fmbench.testing import check_backend

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
EXAMPLE = EXAMPLES / "backend-plugin"
TUTORIAL = ROOT / "docs" / "tutorials" / "your-own-accelerator.md"
OURS = sorted(one.name for one in own.entry_points("fmbench.backends") if one.dist.name == own.name())


def install_example(tmp_path_factory, name):
    """Install an example package as its user would, but out of tree and offline; return the folder."""
    source = tmp_path_factory.mktemp("source") / name
    shutil.copytree(EXAMPLES / name, source)  # building leaves files behind
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)
    return str(target)


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """PYTHONPATH with the example package."""
    return path_of(install_example(tmp_path_factory, "backend-plugin"))


@pytest.fixture(scope="session")
def strangers(tmp_path_factory):
    """PYTHONPATH with two hand-made distributions: one fails when it is imported, one calls its platform `cpu`."""
    folder = tmp_path_factory.mktemp("strangers")
    distribution(folder, "broken-vendor", "1.2", "broken", 'raise RuntimeError("no firmware\\nsecond line")\n')
    distribution(folder, "impostor", "9.9", "cpu", "import sys\nsys.stderr.write('IMPOSTOR IMPORTED')\n")
    return path_of(folder)


def path_of(*folders):
    return {"PYTHONPATH": os.pathsep.join(map(str, folders))}


def distribution(folder, name, version, platform, code):
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[fmbench.backends]\n{platform} = {module}:SomeBackend\n")


def arguments(platform, root, *more):
    return [
        "--platform", platform, "--model_class", "BertModel", "--model_root", root, "--model_name", "tiny",
        "--weights", "random", "--input_sizes", "16", "--batch_sizes", "2", "--reps", "3",
        "--torch.call:set_grad_enabled@", "False", *more,
    ]  # fmt: skip


def bodies(log, kind):
    prefix = f"FMWORK {kind} "
    return [line.removeprefix(prefix) for line in log.splitlines() if line.startswith(prefix)]


def environment(log):
    return {key: value for body in bodies(log, "ENV") for key, value in json.loads(body).items()}


def platforms(listing):
    """Rows of `fmbench backends` by platform."""
    return {line.split()[0]: line for line in listing.splitlines()[1:]}


# The example


@pytest.mark.slow
def test_the_example_is_listed_with_its_distribution(script, example):
    listed = script("fmbench", "backends", env=example)
    assert listed.returncode == 0, listed.stderr
    assert listed.stderr == ""
    rows = platforms(listed.stdout)
    assert sorted(rows) == sorted([*OURS, "cpu-autocast"])
    assert rows["cpu-autocast"].split()[1] == "yes"
    assert "fmbench-cpu-autocast 0.1.0" in rows["cpu-autocast"]
    assert "torch.autocast to 16 bits" in rows["cpu-autocast"]


def test_the_example_is_unknown_where_it_is_not_installed(forked, tiny_root):
    run = forked("driver", *arguments("cpu-autocast", tiny_root))
    assert run.returncode == 2
    assert "--platform cpu-autocast: unknown" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("more", "precision"), [((), "bfloat16"), (("--platform:dtype", "float16"), "float16")])
def test_the_example_measures(forked, example, tiny_root, more, precision):
    run = forked("driver", *arguments("cpu-autocast", tiny_root, *more), env=example)
    assert run.returncode == 0, run.stderr
    (result,) = bodies(run.stdout, "RES")
    assert result.split()[2:6] == ["tiny", "BertModel", "16", "2"]
    assert float(result.split()[6]) > 0
    facts = environment(run.stdout)
    assert (facts["platform"], facts["device"], facts["precision"]) == ("cpu-autocast", "cpu", precision)
    assert facts["dtype"] == "float32", "the weights stay as they are; only the call computes in 16 bits"


def test_the_example_computes_in_bfloat16(monkeypatch):
    import torch

    from fmbench.options import parse_arguments

    monkeypatch.syspath_prepend(EXAMPLE)
    platform = importlib.import_module("fmbench_cpu_autocast").CpuAutocastBackend()
    given = parse_arguments(arguments("cpu-autocast", "x"))
    platform.check(given)
    platform.setup(given)
    forward = platform.prepare(torch.nn.Linear(4, 4), given)
    assert forward({"input": torch.ones(1, 4)}).dtype == torch.bfloat16
    assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == torch.float32, "autocast ends with the call"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--platform:dtpye", "float16"), "--platform:dtpye: no option of cpu-autocast; did you mean dtype?"),
        (("--platform:dtype", "bfloat"), "--platform:dtype: write bfloat16 or float16; did you mean bfloat16"),
        (("--platform:dtype@", "torch.float16"), "--platform:dtype: takes one plain value"),
        (("--platform:dtype:x", "1"), "--platform:dtype: takes one plain value"),
        (("--device", "1"), "--device 1: the CPU is one device"),
    ],
)
def test_a_wrong_option_of_the_example_is_one_line_and_exit_2(forked, example, tiny_root, more, text):
    run = forked("driver", *arguments("cpu-autocast", tiny_root, *more), env=example)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert text in run.stderr


def test_the_how_to_shows_the_example_as_it_is():
    text = TUTORIAL.read_text(encoding="utf-8")
    for name, language in (("pyproject.toml", "toml"), ("fmbench_cpu_autocast.py", "python"),
                           ("test_fmbench_cpu_autocast.py", "python")):  # fmt: skip
        assert f"```{language}\n{(EXAMPLE / name).read_text(encoding='utf-8')}```" in text, name


def test_the_tutorial_s_card_keeps_the_contract(monkeypatch):
    (code,) = re.findall(r"```python\n(import importlib.util\n\nfrom fmbench.backend import Backend, Memory.*?)```",
                         TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)  # fmt: skip
    card = SimpleNamespace(
        device="cpu", name="x", driver="1", wait=int, reset_peak=int, peak_bytes=lambda: 2**20, millijoules=int
    )
    acme = ModuleType("acme")
    acme.open, acme.__spec__ = lambda index: card, ModuleSpec("acme", None)
    monkeypatch.setitem(sys.modules, "acme", acme)
    made = {}
    exec(code, made)  # noqa: S102 (ours)
    check_backend(made["AcmeBackend"])


@pytest.mark.slow
def test_the_example_passes_its_own_test(example):
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "test_fmbench_cpu_autocast.py"]
    done = subprocess.run(test, env={**os.environ, **example}, capture_output=True, text=True, cwd=EXAMPLE)
    assert done.returncode == 0, done.stdout


def test_the_example_is_short():
    assert len((EXAMPLE / "fmbench_cpu_autocast.py").read_text(encoding="utf-8").splitlines()) <= 60


# Other people's mistakes

SHADOW = """
print("imported")
from fmbench.backends.cpu import CpuBackend
class SomeBackend(CpuBackend):
    name = "shadow"
    summary = "says what fmbench says"
    def facts(self):
        return {**super().facts(), "platform": "cuda", "threads": 64, "packages": {"torch": "99"}}
"""
QUITS = """
from fmbench.backend import Backend
class SomeBackend(Backend):
    name = "quits"
    summary = "ends the process"
    @classmethod
    def unavailable(cls):
        raise SystemExit(9)
"""


def test_facts_of_fmbench_are_not_a_platform_s_to_say(forked, tmp_path, tiny_root):
    distribution(tmp_path, "acme-fmbench", "0.1", "shadow", SHADOW)
    run = forked("driver", *arguments("shadow", tiny_root), env=path_of(tmp_path))
    assert run.returncode == 3 and not bodies(run.stdout, "RES") and "imported" not in run.stdout
    assert run.stderr.splitlines()[-1] == (
        "driver: error: --platform shadow (acme-fmbench 0.1): facts(): packages, platform, threads: fmbench says this; "
        "take other names"
    )


def test_what_setting_up_raises_names_the_platform_and_all_its_lines(forked, tmp_path, tiny_root):
    code = (
        SHADOW.partition("    def facts")[0]
        + "    def _setup(self, arguments):\n        raise OSError('ioctl\\nfailed')\n"
    )
    distribution(tmp_path, "acme-fmbench", "0.1", "shadow", code)
    run = forked("driver", *arguments("shadow", tiny_root), env=path_of(tmp_path))
    said = "driver: error: --platform shadow (acme-fmbench 0.1): _setup(): OSError: ioctl failed"
    assert (run.returncode, run.stderr.splitlines()[-1]) == (3, said)


@pytest.mark.parametrize(("hook", "code"), [("computes_in", 3), ("_place_model", 3), ("observe", 1), ("graph", 1)])
def test_what_a_hook_raises_ends_a_run_or_a_shape_with_its_name(forked, tmp_path, tiny_root, hook, code):
    code_of_it = SHADOW.partition("    def facts")[0] + f"    def {hook}(self, *_):\n        raise KeyError('ioctl')\n"
    distribution(tmp_path, "acme-fmbench", "0.1", "shadow", code_of_it)
    run = forked("driver", *arguments("shadow", tiny_root), env=path_of(tmp_path))
    said = f"--platform shadow (acme-fmbench 0.1): {hook}(): KeyError: 'ioctl'"
    assert run.returncode == code
    assert (run.stderr.splitlines()[-1] == f"driver: error: {said}") == (code == 3)
    failures = [
        (found["type"], found["message"], found["where"]) for found in map(json.loads, bodies(run.stdout, "ERR"))
    ]
    assert failures == ([] if code == 3 else [("KeyError", said, "acme_fmbench.py:8")])


def test_a_platform_that_ends_the_process_blinds_no_list(forked, tmp_path):
    distribution(tmp_path, "acme-fmbench", "0.1", "quits", QUITS)
    distribution(tmp_path, "acme-shadow", "0.1", "shadow", SHADOW)
    listed = forked("fmbench", "backends", env=path_of(tmp_path))
    rows = platforms(listed.stdout)
    assert listed.returncode == 0 and {*OURS, "quits", "shadow"} == set(rows)
    assert rows["quits"].split()[1] == "no" and "unavailable(): SystemExit: 9" in rows["quits"]


@pytest.mark.slow
def test_a_broken_and_a_false_platform_are_warnings_and_all_others_are_listed(forked, strangers, example):
    both = path_of(strangers["PYTHONPATH"], example["PYTHONPATH"])
    listed = forked("fmbench", "backends", env=both)
    assert listed.returncode == 0, listed.stderr
    warnings = sorted(listed.stderr.splitlines())
    assert len(warnings) == 2
    assert warnings[0].startswith(
        "warning: plug-in 'broken' of broken-vendor 1.2 cannot be imported: RuntimeError: no firmware"
    )
    assert warnings[0].endswith("no firmware second line")
    assert warnings[1].startswith("warning: plug-in 'cpu' of impostor 9.9 is ignored: fmbench ")
    rows = platforms(listed.stdout)
    assert sorted(rows) == sorted([*OURS, "cpu-autocast", "broken"])
    assert rows["broken"].split()[1:4] == ["broken", "broken-vendor", "1.2"]
    assert rows["cpu"].split()[1] == "yes"
    assert "impostor" not in listed.stdout


@pytest.mark.slow
def test_our_platforms_work_beside_a_broken_and_a_false_one(forked, strangers, tiny_root):
    run = forked("driver", *arguments("cpu", tiny_root), env=strangers)
    assert run.returncode == 0, run.stderr
    assert len(bodies(run.stdout, "RES")) == 1
    found = environment(run.stdout)
    assert "cpu_capability" in found, "the CPU platform is ours"
    assert {*found} - OWN == {"device", "cpu_capability", "mkl", "onednn"}
    assert "IMPOSTOR" not in run.stderr and "broken" not in run.stderr


def test_choosing_a_broken_platform_is_one_line_and_exit_3(forked, strangers, tiny_root):
    run = forked("driver", *arguments("broken", tiny_root), env=strangers)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.count("\n") == 1
    assert "--platform broken: plug-in 'broken' of broken-vendor 1.2 cannot be imported" in run.stderr
    assert "no firmware" in run.stderr
