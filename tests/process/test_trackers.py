"""Experiment trackers: what they are told, read back from what they really wrote."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.errors import FmbenchError, UsageError
from fmbench.lines import Rep, Res
from fmbench.process.cli import main
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources
from fmbench.process.trackers import report as trackers
from fmbench.process.trackers import tensorboard as tracker_tensorboard
from fmbench.process.trackers.tracked_run import runs_in, track

from .log_lines import GOLDEN, LOG, case

NAMES = ("mlflow", "tensorboard", "wandb")
FACTS = 'FMWORK ENV {"platform": "cpu", "dtype": "float32", "threads": 1, "packages": {"torch": "2.13.0"}}'
FAILED = 'FMWORK ERR {"input_size": 128, "batch_size": 4, "type": "OutOfMemory", "message": "too much"}'
START = 1_795_000_000  # seconds


def measured(size, batch, milliseconds, start=START):
    """Lines of nine repetitions, a second apart, and of their result."""
    starts = [(start + number) * 10**9 for number in range(9)]
    taken = milliseconds * 10**6
    reps = [Rep(number, 9, begin, begin + taken, taken) for number, begin in enumerate(starts, start=1)]
    rate = batch * 1e3 / milliseconds
    result = Res(starts[0], starts[-1] + taken, "org/m", "C", size, batch, float(milliseconds), rate)
    return [line.format() for line in (*reps, result)]


def shapes(inputs=(16, 64), batches=(1, 2, 4), variant=None):
    """Lines of a sweep in which a shape takes input x batch milliseconds."""
    out = []
    for number, (batch, size) in enumerate((batch, size) for batch in batches for size in inputs):
        more = {} if variant is None else {"variant": variant}
        out += [case(size, batch, **more), *measured(size, batch, size * batch, START + number)]
    return out


SWEEP = [
    LOG,
    "FMWORK ARG --batch_sizes 1,2,4",
    "FMWORK ARG --torch.call:set_grad_enabled@ False",
    FACTS,
    "FMWORK SETUP 1.500000",
    *shapes(),
    case(128, 4),
    FAILED,
]


def written(folder, *lines, name="run.log"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def told(folder, *lines):
    """What trackers are told of each run of a log."""
    path = written(folder, *lines)
    return [track(run) for run in runs_in(read_results(find_sources([str(path)]), print))]


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A folder in which one process reported a sweep to all three, and imported no torch for it."""
    folder = tmp_path_factory.mktemp("reported")
    written(folder, *SWEEP)
    code = (
        "import sys; from fmbench.process.cli import main;"
        "code = main('--path run.log --out out.json --report_to mlflow,tensorboard --report_to wandb"
        " --report_project nightly'.split());"
        "sys.exit(code or int('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=surroundings(folder), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (folder / "said").write_text(done.stderr)
    return folder


def surroundings(folder):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "WANDB", "TENSORBOARD"))}
    wandb = {f"WANDB_{name}_DIR": str(folder / "wandb-own") for name in ("CACHE", "CONFIG", "DATA", "ARTIFACT")}
    return {
        **own,
        **wandb,
        "WANDB_MODE": "offline",
        "MLFLOW_TRACKING_URI": "sqlite:///runs.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TENSORBOARD_LOGGING_DIR": "events",
    }


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trackers")]


@pytest.mark.slow
def test_each_says_where_the_run_is(reported):
    said = (reported / "said").read_text().splitlines()
    name = "m_cpu_float32_20261118T110640Z"
    assert said[0] == f"note: mlflow: {name}: experiment nightly at sqlite:///runs.db"
    assert said[1] == f"note: tensorboard: {name}: events/nightly/{name}"
    assert said[2].startswith(f"note: wandb: {name}: ") and said[2].endswith("(`wandb sync` sends it)")
    assert len(said) == 3


@pytest.mark.slow
def test_the_results_are_written_as_ever(reported):
    assert [row["status"] for row in json.loads((reported / "out.json").read_text())] == ["OK"] * 6 + ["ERR"]


@pytest.mark.slow
def test_mlflow_holds_the_run(reported, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    client = mlflow.MlflowClient(f"sqlite:///{reported / 'runs.db'}")
    experiment = client.get_experiment_by_name("nightly")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("m_cpu_float32_20261118T110640Z", "FINISHED")
    assert run.info.start_time == START * 1000
    assert run.data.params["environment.packages.torch"] == "2.13.0"
    assert run.data.params["argument.torch.call.set_grad_enabled"] == "False"
    assert run.data.metrics["shapes_failed"] == 1 and run.data.metrics["setup_seconds"] == 1.5
    over_batch = client.get_metric_history(run.info.run_id, "latency_ms/input_16")
    assert [(point.step, point.value) for point in over_batch] == [(1, 16), (2, 32), (4, 64)]
    over_input = client.get_metric_history(run.info.run_id, "latency_ms/batch_4")
    assert [(point.step, point.value) for point in over_input] == [(16, 64), (64, 256)]
    assert [point.timestamp for point in over_input] == [(START + 4) * 1000, (START + 5) * 1000]
    plots = {Path(each.path).name for each in client.list_artifacts(run.info.run_id, "plots")}
    assert {"latency_over_batch.png", "serving_curve.png", "repetitions.png"} <= plots


@pytest.mark.slow
def test_tensorboard_holds_the_run(reported):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    (folder,) = (reported / "events" / "nightly").iterdir()
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    values = {
        event.step: event.tensor_proto.float_val[0] or struct.unpack("<f", event.tensor_proto.tensor_content)[0]
        for event in events.Tensors("latency_ms/input_16")
    }
    assert values == {1: 16, 2: 32, 4: 64}
    assert [event.wall_time for event in events.Tensors("latency_ms/batch_1")] == [START, START + 1]
    assert (
        "plots/latency_over_batch" in events.Tags()["images"] or "plots/latency_over_batch" in events.Tags()["tensors"]
    )
    (content,) = events.PluginTagToContent("hparams").values()
    parameters = HParamsPluginData.FromString(content).session_start_info.hparams
    assert parameters["environment.threads"].number_value == 1
    assert parameters["argument.batch_sizes"].string_value == "1,2,4"


def results_of(path):
    """The records of a .wandb file, which is a log as LevelDB writes it: blocks of 32 KiB, parts with a header of 7."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


@pytest.mark.slow
def test_wandb_holds_the_run(reported):
    (path,) = reported.glob("wandb/offline-run-*/*.wandb")
    results = list(results_of(path))
    (run,) = [result.run for result in results if result.HasField("run")]
    assert (run.project, run.display_name, run.host) == ("nightly", "m_cpu_float32_20261118T110640Z", "unknown")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["environment.packages.torch"] == "2.13.0" and config["argument.batch_sizes"] == "1,2,4"
    rows = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in result.history.item}
        for result in results
        if result.HasField("history")
    ]
    over = [(row["batch_size"], row["latency_ms/input_16"]) for row in rows if "batch_size" in row]
    assert over == [(1, 16), (2, 32), (4, 64)]
    axes = {result.metric.name: result.metric.step_metric for result in results if result.HasField("metric")}
    assert axes["latency_ms/input_16"] == "batch_size" and axes["latency_ms/batch_4"] == "input_size"
    assert any("plots/latency_over_batch" in row for row in rows)
    assert {path.name.partition("_over")[0] for path in reported.glob("wandb/**/media/images/plots/*.png")} >= {
        "latency"
    }


# -- what they are told


def test_a_run_a_log_and_another_where_a_shape_comes_again(tmp_path):
    assert [len(run.figures) for run in told(tmp_path, *SWEEP, *SWEEP)] == [len(told(tmp_path, *SWEEP)[0].figures)] * 2


def test_a_log_and_its_json_tell_the_same(tmp_path):
    (run,) = told(tmp_path, *SWEEP)
    main(["--path", str(tmp_path / "run.log"), "--out", str(tmp_path / "run.json")])
    (saved,) = (track(found) for found in runs_in(read_results(find_sources([str(tmp_path / "run.json")]), print)))
    assert saved.figures == run.figures and saved.totals == run.totals
    assert {**saved.parameters, "log": "run.log"} == run.parameters


def test_figures_of_every_workload_are_told(tmp_path):
    def totals(name):
        (run,) = told(tmp_path, (GOLDEN.parents[1] / f"golden-{name}" / "format-1.log").read_text())
        assert not run.figures
        return run.totals

    retrieval = totals("retrieval")
    assert retrieval["ndcg_cut_10/scifact"] == 0.6451 and retrieval["recall_10/scifact"] == 0.7833
    assert retrieval["query_latency_ms/scifact"] == 6.1 and retrieval["search_latency_ms/scifact"] == 0.6
    assert retrieval["setup_seconds"] == 1.25
    assert [retrieval[f"encoded_queries_per_second/{name}"] for name in ("scifact", "second")] == [150, 200]
    distilled = {name.partition("/")[0]: value for name, value in totals("distill").items() if "lookup" in name}
    assert (distilled["ndcg_at_10_kept"], distilled["ndcg_cut_10"], distilled["latency_ms"]) == (0.99, 0.64, 0.071)
    assert (distilled["latency_p95_ms"], distilled["time_of_teacher"]) == (0.098, 0.0105)
    assert totals("fidelity") == {"cosine_least/bert_layer.4": 0.9999999}


def test_variants_are_told_apart(tmp_path):
    facts = [f'FMWORK ENV {{"dtype": "{dtype}", "variant": "{name}"}}' for name, dtype in (("A", "x"), ("B", "y"))]
    lines = [LOG, FACTS, *facts, *shapes((16,), (1, 2), "A"), *shapes((16,), (1, 2), "B")]
    (run,) = told(tmp_path, *lines)
    assert run.parameters["environment.dtype.variant_A"] == "x" and run.parameters["precision.variant_B"] == "y"
    assert run.parameters["environment.threads"] == 1
    names = {each.name for each in run.figures}
    assert {"latency_ms/variant_A/input_16", "latency_ms/variant_B/input_16", "latency_ms/variant_B/batch_2"} <= names


def test_every_argument_has_a_name_that_all_of_them_take(tmp_path):
    lines = [LOG, "FMWORK ARG --vs --model:a x", "FMWORK ARG --vs --model:a y", 'FMWORK ARG --compile:"a:b"@ {1: 2}']
    odd = 'FMWORK ENV {"a<b>|c": [1, "x"], "n": null, "huge": 1e300, "many": 99999999999999999999}'
    (run,) = told(tmp_path, *lines, odd, *shapes((16,), (1,)))
    assert run.parameters["argument.vs"] == "--model:a x; --model:a y"
    assert run.parameters["argument.compile._a.b_"] == "{1: 2}"
    assert run.parameters["environment.a_b_c"] == '[1, "x"]'
    assert run.parameters["environment.huge"] == 1e300
    assert run.parameters["environment.many"] == "99999999999999999999"
    assert "environment.n" not in run.parameters


@pytest.mark.parametrize("model", ["../../etc", "<script>|a", "...", "漢字", "x" * 500])
def test_a_run_has_a_name_that_can_be_a_folder(tmp_path, model):
    lines = [line.replace("org/m", f"org/{model}") for line in SWEEP]
    (run,) = told(tmp_path, *lines)
    assert "/" not in run.name and not run.name.startswith(".") and len(run.name.encode()) < 200
    assert run.name.isascii()


def test_a_log_of_failures_is_a_run_without_figures(tmp_path):
    (run,) = told(tmp_path, LOG, FACTS, case(128, 4), FAILED)
    assert (run.figures, dict(run.totals)) == ([], {"shapes": 1, "shapes_failed": 1, "shapes_in_doubt": 0})
    assert run.started > START


def test_an_old_log_is_told_too():
    results = list(read_results(find_sources([str(GOLDEN.parent)]), print))
    assert [run.figures != [] for run in map(track, runs_in(results))] == [True] * 3


# -- what goes wrong


def test_listing_them_imports_none():
    code = (
        "import sys, fmbench.process.trackers.report as t;"
        "assert list(t.TRACKERS) == ['mlflow', 'tensorboard', 'wandb'];"
        "[tracker.available() for tracker in t.TRACKERS.values()];"
        "sys.exit(any(name in sys.modules for name in ('mlflow', 'tensorboard', 'wandb', 'torch', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_not_installed_is_one_line(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["--path", str(written(tmp_path, *SWEEP)), "--report_to", name]) == 2
    said = f"process: error: --report_to {name} needs another package: pip install 'fmbench[{name}]'\n"
    assert capsys.readouterr().err == said


def test_the_extras_are_those_of_the_trackers():
    extras = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert all(f'\n{name} = ["{name}' in extras for name in trackers.TRACKERS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--report_to", "mlfow"], "--report_to mlfow: no such tracker; did you mean mlflow?"),
        (["--report_to", ","], "argument --report_to: nothing is named"),
        (["--report_project", "x"], "--report_project is for trackers: name one with --report_to"),
    ],
)
def test_a_wrong_command_line(tmp_path, capsys, words, message):
    assert main(["--path", str(written(tmp_path, *SWEEP)), *words]) == 2
    assert f"process: error: {message}" in capsys.readouterr().err


def test_a_tracker_that_fails_takes_nothing_away(tmp_path, capsys, monkeypatch):
    log = written(tmp_path, *SWEEP)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "file"))
    assert main(["--path", str(log), "--report_to", "tensorboard"]) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 7
    (line,) = err.splitlines()
    assert (
        line.startswith("process: error: --report_to tensorboard: m_cpu_float32_")
        and "and what follows was not reported" in line
    )


def test_one_that_failed_is_told_no_more(tmp_path, monkeypatch):
    class FakeTracker:
        name, calls = "fake", 0

        def report(self, run, project):
            self.calls += 1
            raise OSError("down")

    monkeypatch.setattr(trackers, "plots_of", lambda *_: [])
    results = list(read_results(find_sources([str(written(tmp_path, *SWEEP, *SWEEP))]), print))
    fake = FakeTracker()
    with pytest.raises(FmbenchError, match=r"--report_to fake: .* \(down\)"):
        trackers.report(results, [fake], None)
    assert fake.calls == 1


@pytest.mark.slow
def test_a_server_that_is_down_is_one_line(tmp_path):
    written(tmp_path, *SWEEP)
    down = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    words = "--path run.log --report_to mlflow --report_to tensorboard"
    code = f"import sys; from fmbench.process.cli import main; sys.exit(main({words.split()}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=surroundings(tmp_path) | down, capture_output=True, text=True
    )
    assert run.returncode == 1 and len(json.loads(run.stdout)) == 7
    assert len(list(tmp_path.glob("events/fmbench/*/events*"))) == 1
    assert run.stderr.splitlines()[-1].startswith("process: error: --report_to mlflow: m_cpu_float32_")
    assert len([line for line in run.stderr.splitlines() if "error" in line]) == 1


def test_the_same_again_is_another_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    words = ["--path", str(written(tmp_path, *SWEEP)), "--report_to", "tensorboard"]
    assert main(words) == main(words) == 0
    first, second = sorted(path.name for path in (tmp_path / "events" / "fmbench").iterdir())
    assert second == f"{first}-2"


@pytest.mark.parametrize(("project", "folder"), [("x/../../y z", "x-..-..-y z"), ("..", "fmbench"), ("mine", "mine")])
def test_a_project_is_one_folder(project, folder):
    assert tracker_tensorboard.folder_of(project) == folder


def test_a_database_that_cannot_be_written_is_found_before_mlflow_tries_for_minutes(tmp_path, monkeypatch):
    from fmbench.process.trackers.mlflow import check_database

    check_database(f"sqlite:///{tmp_path}/new/mlflow.db")
    check_database("http://127.0.0.1:1")
    with pytest.raises(UsageError, match="/proc/mlflow.db: cannot be written"):
        check_database("sqlite:////proc/mlflow.db")


def test_a_long_name_of_a_project_is_the_name_of_a_folder(tmp_path):
    (tmp_path / tracker_tensorboard.folder_of("\N{CJK UNIFIED IDEOGRAPH-6A21}" * 300)).mkdir()
