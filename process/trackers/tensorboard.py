"""TensorBoard, through the writer of its own package, which needs no torch and no TensorFlow (extra `tensorboard`)."""

import importlib.util
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmbench.whole_file import cut

from .tracked_run import PROJECT, TrackedRun

FOLDER = "TENSORBOARD_LOGGING_DIR"  # the variable that transformers reads
RGBA = 4


class TensorboardTracker:
    """An event file in a folder of its own; figures are scalars whose step is the size."""

    name = "tensorboard"

    def available(self) -> bool:
        """Whether TensorBoard is installed."""
        return importlib.util.find_spec("tensorboard") is not None

    def report(self, run: TrackedRun, project: str | None) -> str:
        """Write the file and return its folder."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = new_folder(Path(os.environ.get(FOLDER) or "runs") / folder_of(project or PROJECT), run.name)
        writer = EventFileWriter(str(folder))
        try:
            for time, step, summary in summaries(run):
                writer.add_event(Event(wall_time=time, step=step, summary=summary))
        finally:
            writer.close()
        return str(folder)


def folder_of(project: str) -> str:
    """Return a project's name as that of one folder."""
    return cut(project.replace("/", "-").replace(os.sep, "-").lstrip("."), 200) or PROJECT


def new_folder(above: Path, name: str) -> Path:
    """Make and return a folder of that name; numbered where it is there, since two runs in one would be mixed."""
    number = 1
    while True:
        folder = above / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if above.exists() and not above.is_dir():
                raise
            number += 1


def summaries(run: TrackedRun) -> Iterator[tuple[float, int, Any]]:
    """Yield time, step and summary: the parameters (for the HPARAMS tab), the figures, the plots."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    yield run.started, 0, hparams_pb(dict(run.parameters), run.name, run.started)
    for name, value in run.totals.items():
        yield run.ended, 0, scalar_pb(name, value)
    for each in run.figures:
        yield each.time, each.step, scalar_pb(each.name, each.value)
    for path in run.plots:
        yield run.ended, 0, image(path)


def image(path: Path) -> Any:
    """Return a PNG as a summary."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    shown = Summary.Image(width=width, height=height, colorspace=RGBA, encoded_image_string=data)
    return Summary(value=[Summary.Value(tag=f"plots/{path.stem}", image=shown)])
