"""Programs of fmbench, forked from one process that has torch imported: the start of one takes no three seconds.

`python -m tests.forks FOLDER` writes FOLDER/driver, process and fmbench, and serves them until its standard input ends.
Each does what the installed program of its name does, with its own arguments, folder, variables and streams. Only
variables that count when a library is imported, such as OMP_NUM_THREADS, are the server's.
FOLDER/code CODE WORDS does what `python -c CODE WORDS` does.
"""

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from types import ModuleType

from fmbench import cli, torch_settings
from fmbench.drivers import embed
from fmbench.process import cli as process


def code() -> None:
    """Run the first argument with the others, as Python runs what is behind -c."""
    _, text, *words = sys.argv
    sys.argv = ["-c", *words]
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(text, vars(main))  # noqa: S102 (a test's own lines)


PROGRAMS = {"driver": embed.main, "process": process.main, "fmbench": cli.main, "code": code}
# -I -S: starts within ten milliseconds. A negative code is the signal that ended the program.
CLIENT = """#!{python} -IS
import json, os, socket, struct, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [struct.pack("i", len(asked))], [0, 1, 2])
    server.sendall(asked)
    (code,) = struct.unpack("i", server.recv(4))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def preload() -> None:
    """Import what programs import first."""
    import faiss
    import matplotlib.pyplot
    import safetensors.torch
    import transformers.modeling_utils
    from transformers.models import bert, roberta

    from fmbench.drivers.distill import cli as distill
    from fmbench.drivers.retrieve import cli as retrieve

    assert all((faiss, matplotlib, safetensors, transformers, bert.BertModel, roberta.RobertaModel, distill, retrieve))


def serve(folder: Path) -> None:
    """Write the programs and answer them; a program that is killed takes its fork along."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    gc.freeze()  # or each fork copies all that is imported, when it looks for garbage and when it ends
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    for name in PROGRAMS:
        (folder / name).write_text(CLIENT.format(python=sys.executable, address=str(folder / "socket")))
        (folder / name).chmod(0o755)
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection = listener.accept()[0]
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(connection)
            os._exit(0)  # there is nothing to tidy up
        connection.close()


def answer(connection: socket.socket) -> None:
    """Fork the program that is asked for; say its exit code."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    asked = b""
    while len(asked) < struct.unpack("i", head)[0]:
        asked += connection.recv(1 << 20)
    child = os.fork()
    if child == 0:
        connection.close()
        become(*json.loads(asked), streams)
    for stream in streams:
        os.close(stream)
    ready, _, _ = select.select([connection, os.pidfd_open(child)], [], [])
    if connection in ready:  # whoever asked is gone
        os.killpg(child, signal.SIGKILL)
    else:
        connection.sendall(struct.pack("i", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


def become(argv: list[str], folder: str, variables: dict[str, str], streams: list[int]) -> None:
    """Be a program of one's own from here."""
    os.setpgid(0, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    spins = {"GOMP_SPINCOUNT": torch_settings.SPINS}  # which a program sets before it imports torch
    os.environ.clear()
    os.environ.update(spins | variables)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.path[:0] = list(filter(None, variables.get("PYTHONPATH", "").split(os.pathsep)))
    sys.argv = argv
    sys.exit(PROGRAMS[Path(argv[0]).name]())


if __name__ == "__main__":
    preload()
    serve(Path(sys.argv[1]))
