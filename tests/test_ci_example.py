"""The workflow that examples/ci has for users: what its steps say is run, here without GitHub and pip."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from .process.test_compare import log_text, noisy
from .tiny_model import write_collection, write_model

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = yaml.safe_load((ROOT / "examples" / "ci" / "embedding-model.yml").read_text())
(JOB,) = WORKFLOW["jobs"].values()
STEPS = {step["name"]: step["run"] for step in JOB["steps"] if "name" in step}
FAKE_GH = '#!/bin/sh\nfor last; do :; done\nprintf "%s\\n" "$*" > gh.txt\ncp "$last" comment-sent.md\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory, forks):
    """A runner's folder after the installation: both checkouts with the programs of this environment, a fake gh."""
    folder = tmp_path_factory.mktemp("runner")
    for side in ("base", "new"):
        write_model(folder / side / "model")
        write_collection(folder / side / "data")
        (folder / side / "env").mkdir()
        (folder / side / "env" / "bin").symlink_to(forks)
    (folder / "gh").write_text(FAKE_GH)
    (folder / "gh").chmod(0o755)
    return folder


def run(place, name):
    """Run a step as the runner does; return what it said and its exit code."""
    script = STEPS[name].replace("${{ github.event.number }}", "7").replace("${{ github.repository }}", "us/ours")
    assert "${{" not in script
    variables = {**WORKFLOW["env"], "MODEL": "model", "DATASET": "data", "PATH": f"{place}:{os.environ['PATH']}"}
    variables["SHAPES"] = "--input_sizes 8 --batch_sizes 1 --reps 20"
    options = {"cwd": place, "env": {**os.environ, **variables}, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], **options, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_pull_request_hears_what_became_slower_and_whether_the_choice_holds(place):
    code, said = run(place, "Measure both on this machine")
    assert code == 0, said
    for side, seed, ratio in (("base", 1, 1.0), ("new", 2, 1.5)):
        log = place / f"{side}.log"
        assert log.read_text().count("FMWORK RES ") == 1
        log.write_text(log_text({8: noisy(ratio, seed=seed)}))  # whatever this machine does meanwhile
    code, said = run(place, "Compare")
    assert code == 1, said
    model = ("--model_name", "model", "--dataset", "data", "--platforms", "cpu", "--without", "cpu inductor")
    more = (*model, "--profile", "bulk", "--budget", "10s", "--out", "choice.json")
    choose = [place / "new" / "env" / "bin" / "fmbench", "choose", *more]
    subprocess.run(choose, cwd=place / "new", check=True)
    code, said = run(place, "Is the choice still right?")
    assert code in (0, 1) or "it says to run the reference" in said, said  # so small a model is as fast in any set-up
    assert (place / "choice.txt").read_text() == said != ""
    code, said = run(place, "Say so")
    assert code == 0, said
    assert (place / "gh.txt").read_text().startswith("pr comment 7 --repo us/ours ")
    sent = (place / "comment-sent.md").read_text()
    assert "regression" in sent and (place / "choice.txt").read_text().splitlines()[-1] in sent
