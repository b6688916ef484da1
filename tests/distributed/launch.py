"""Start jobs of several ranks: `python -m tests.distributed.launch FOLDER SCENARIO:RANKS ...`, all at once.

One process imports torch and forks the ranks, which would otherwise import it once each. FOLDER/SCENARIO-RANKS-RANK.out
and .err hold what a rank says, and exits.json every rank's exit code (minus the signal that killed it).
"""

import json
import os
import sys
from pathlib import Path

import torch.distributed  # noqa: F401 (imported once, for all ranks)

from fmbench import distributed, search  # noqa: F401
from fmbench.console import run_main
from fmbench.distributed.local import free_port
from fmbench.search import faiss_engine, torch_engine  # noqa: F401

from . import scenarios


def start(folder, scenario, ranks, port):
    """Fork the ranks of a job and return their process ids."""
    children = []
    for rank in range(ranks):
        child = os.fork()
        if child == 0:
            run_rank(folder, scenario, rank, ranks, port)
        children.append(child)
    return children


def run_rank(folder, scenario, rank, ranks, port):
    for number, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{scenario}-{ranks}-{rank}.{suffix}", os.O_CREAT | os.O_WRONLY), number)
    variables = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    program = getattr(scenarios, scenario)
    if scenario.endswith("_outside"):
        program(folder)  # an exception goes all the way up, as in anybody's script
        sys.exit()
    code = run_main(scenario, lambda: program(folder) or 0)
    sys.exit(code)  # as any program ends: threads, then what is registered at exit


def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    folder, jobs, ports = Path(sys.argv[1]), {}, set()
    while len(ports) < len(sys.argv[2:]):  # no rank listens yet: one port may be found twice
        ports.add(free_port())
    for job, port in zip(sys.argv[2:], ports, strict=True):
        scenario, ranks = job.split(":")
        jobs[job] = start(folder, scenario, int(ranks), port)
    exits = {
        job: [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        for job, children in jobs.items()
    }
    (folder / "exits.json").write_text(json.dumps(exits))


if __name__ == "__main__":
    main()
