"""A sweep over a Ray cluster of simulated nodes, one of which dies in the middle. The cells are real."""

import json
import time
from pathlib import Path

import pytest

from fmbench.process.sweep.cli import main

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'fmbench[ray]'")


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.mark.slow
def test_the_cells_of_a_node_that_dies_run_elsewhere(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nodes = [cluster.add_node(num_cpus=1, resources={"card": 1}) for _ in range(3)]
    cluster.wait_for_nodes()
    Path("grid.yaml").write_text(
        "sweep: s\nrun: driver\nneeds: {card: 1}\n"
        "with: {platform: 'null', model_class: none, model_name: none, input_sizes: 8, reps: 10}\n"
        "runs:\n- matrix: {batch_sizes: [1, 2, 3, 4, 5, 6]}\n- {needs: {other: 1}, with: {batch_sizes: 7}}\n"
    )
    killed = []

    def kill(self, running, waiting):
        if not killed and time.monotonic() > begun + 1:
            killed.append(cluster.remove_node(nodes[0], allow_graceful=False))

    monkeypatch.setattr("fmbench.process.sweep.keeper.Keeper.show", kill)
    begun = time.monotonic()
    assert main(["grid.yaml", "--on", "ray", "--address", cluster.address]) == 1
    printed = capsys.readouterr()
    assert "grid.yaml:7: batch_sizes 7: refused: needs other 1, and no node has that" in printed.err
    assert killed and printed.err.count("done in") == 6 and "raylet" not in printed.out
    entries = [json.loads(path.read_text()) for path in Path("results").glob("*/*/environment.json")]
    assert len({entry["run"]["cell"]["id"] for entry in entries}) == len(entries) == 6
    assert all(entry["environments"][0]["cpu"] for entry in entries)
    assert main(["grid.yaml", "--on", "ray", "--address", cluster.address]) == 1
    assert "6 in results already; 0 of 6 runs left" in capsys.readouterr().err


def test_no_cluster_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text("sweep: s\nrun: driver\nwith: {reps: 10}\n")
    assert main(["grid.yaml", "--on", "ray", "--address", "127.0.0.1:1"]) == 1
    assert "--on ray: no cluster at 127.0.0.1:1" in capsys.readouterr().err
