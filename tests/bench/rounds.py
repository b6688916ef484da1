"""Rounds of a benchmark that outlive its process, with what they are of: a machine, versions, a commit."""

import json
import subprocess
from pathlib import Path
from typing import Any

from fmbench.facts import software_facts
from fmbench.host import host_facts
from fmbench.machine import hardware_of
from fmbench.whole_file import write_whole

from .ways import PEER, peer_python

LIBRARIES = ("openvino", "nncf", "onnxruntime", "onnx")


class Rounds:
    """The rounds of a folder's rounds.json, by the number of threads."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        """Read what is there. Raises SystemExit where that is of another machine, other versions or texts."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._file = folder, folder / "rounds.json"
        peers = subprocess.run([peer_python(), PEER, "versions"], capture_output=True, text=True, check=True).stdout
        here = {
            **about, "machine": hardware_of([host_facts()]), "ours": software_facts(LIBRARIES),
            "theirs": json.loads(peers),
        }  # fmt: skip
        self._kept: dict[str, Any] = {"about": here, "rounds": {}}
        if self._file.is_file():
            self._kept = json.loads(self._file.read_text(encoding="utf-8"))
        there = self._kept["about"]
        if differs := [
            f"{name}: {there.get(name)}, here {here[name]}" for name in here if there.get(name) != here[name]
        ]:
            raise SystemExit(f"{self._file}: is of something else; name another folder ({'; '.join(differs)})")

    def of(self, threads: int) -> list[dict[str, Any]]:
        """Return the rounds of so many threads."""
        return self._kept["rounds"].get(str(threads), [])

    def add(self, threads: int, one: dict[str, Any]) -> None:
        """Keep a further round."""
        self._kept["rounds"].setdefault(str(threads), []).append(one)
        write_whole(self._file, json.dumps(self._kept).encode())
