"""A fake platform, named so: torch on the CPU, with a noisy delay in every call, wrong vectors on request, 10 watts."""

import random
import time
from pathlib import Path

from fmbench.backend import Backend, Candidate
from fmbench.counters import Counter

WATTS = 10
METADATA = "Metadata-Version: 2.1\nName: fmbench-noisy\nVersion: 0\n"


class NoisyBackend(Backend):
    """`milliseconds` a call, times a log-normal `noise`; with `wrong`, every token has the first one's states.

    `pace` delays nothing: tests say that a text took so many milliseconds.
    """

    name = "noisy"
    summary = "a fake: torch on the CPU, delayed"
    options = ("milliseconds", "noise", "pace", "wrong")
    numbered = True  # so that it is what the reference runs on

    @classmethod
    def unavailable(cls):
        return None

    def candidates(self, arguments):
        return [Candidate("float32", "--model:dtype@ torch.float32", "the one that it has")]

    def prepare(self, model, arguments):
        values = {key: float(arguments.literal("platform", key, 0)) for key in self.options}
        draw = random.Random()

        def forward(batch):
            output = model(**batch)
            if values["wrong"]:  # the vectors of another pooling
                output.last_hidden_state[:] = output.last_hidden_state[:, :1].clone()
            until = time.perf_counter() + values["milliseconds"] / 1e3 * draw.lognormvariate(0, values["noise"])
            while time.perf_counter() < until:
                pass
            return output

        return forward

    def energy(self):
        return Counter(WATTS * time.perf_counter(), "fake", None)

    def facts(self):
        return {"device": "noisy", "simulated": "the noisy backend is a fake"}


def install(folder: Path) -> Path:
    """Write what makes the platform an installed plug-in once the folder is on the path of Python."""
    found = folder / "fmbench_noisy-0.dist-info"
    found.mkdir(parents=True)
    (found / "METADATA").write_text(METADATA)
    (found / "entry_points.txt").write_text("[fmbench.backends]\nnoisy = tests.noisy:NoisyBackend\n")
    return folder
