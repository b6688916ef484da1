"""MLflow, through its client (extra `mlflow`). Where to is the environment's: MLFLOW_TRACKING_URI and its like."""

import contextlib
import importlib.util
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmbench.errors import UsageError
from fmbench.whole_file import part_beside

from .tracked_run import PROJECT, TrackedRun

# What the server takes at once.
MOST_METRICS = 1000
MOST_PARAMETERS = 100
SQLITE = "sqlite:///"
EXPERIMENT = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


class MlflowTracker:
    """A run in an experiment; figures are metrics whose step is the size."""

    name = "mlflow"

    def available(self) -> bool:
        """Whether MLflow, whole or skinny, is installed."""
        return importlib.util.find_spec("mlflow") is not None

    def report(self, run: TrackedRun, project: str | None) -> str:
        """Make the run and return its experiment and tracking URI."""
        # A server that is down should be told within seconds; MLflow's own patience is minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        import mlflow

        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)  # it speaks of the tables that it makes
        check_database(mlflow.get_tracking_uri())
        client = mlflow.MlflowClient()
        experiment = experiment_of(mlflow, project)
        made = client.create_run(experiment.experiment_id, start_time=milliseconds(run.started), run_name=run.name)
        with ending(client, made.info.run_id, milliseconds(run.ended)):
            log(client, made.info.run_id, run)
        return f"experiment {experiment.name} at {mlflow.get_tracking_uri()}"


def check_database(uri: str) -> None:
    """Raise UsageError for a database in a file that cannot be written: MLflow would try for 100 seconds."""
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()
    above = next(folder for folder in path.parents if folder.exists())  # MLflow makes those that are missing
    with part_beside(above / path.name):  # SQLite needs such a file too
        if path.exists() and not os.access(path, os.W_OK):
            raise UsageError(f"{path}: cannot be written; name another database with MLFLOW_TRACKING_URI")


def experiment_of(mlflow: Any, project: str | None) -> Any:
    """Return the experiment of that name, made where it is new; without a name that of the environment."""
    if project is None and (identifier := os.environ.get(EXPERIMENT[0])):
        return mlflow.set_experiment(experiment_id=identifier)
    return mlflow.set_experiment(project or os.environ.get(EXPERIMENT[1]) or PROJECT)


@contextlib.contextmanager
def ending(client: Any, identifier: str, moment: int) -> Iterator[None]:
    """End a run: as finished, or as failed where it could not be told in full."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            client.set_terminated(identifier, "FAILED")
        raise
    client.set_terminated(identifier, "FINISHED", moment)


def log(client: Any, identifier: str, run: TrackedRun) -> None:
    """Tell parameters, figures and plots."""
    from mlflow.entities import Metric, Param

    parameters = [Param(name, str(value)) for name, value in run.parameters.items()]
    for start in range(0, len(parameters), MOST_PARAMETERS):
        client.log_batch(identifier, params=parameters[start : start + MOST_PARAMETERS])
    ended = milliseconds(run.ended)
    metrics = itertools.chain(
        (Metric(name, value, ended, 0) for name, value in run.totals.items()),
        (Metric(each.name, each.value, milliseconds(each.time), each.step) for each in run.figures),
    )
    while block := list(itertools.islice(metrics, MOST_METRICS)):
        client.log_batch(identifier, metrics=block)
    for path in run.plots:
        client.log_artifact(identifier, str(path), "plots")


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow keeps it."""
    return round(seconds * 1000)
