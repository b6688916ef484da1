"""The runs of a command line: each is warmed up, sent, written to the log, and its answers are looked at in the end."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from fmbench import lines
from fmbench.console import Progress, warn
from fmbench.session import Session

from . import processes, slo
from .answers import Answers, decode
from .arguments import LoadArguments
from .endpoint import Endpoint
from .figures import Table, request_lines, summary
from .metrics import Counted, counted, joules, looked_again, means
from .payload import Payload
from .records import Records
from .references import Reference
from .schedule import OFFLINE, Setting, plan_of, settings, warm_up
from .slo import Goal, Probe
from .vectors import verdict

PROBE_REQUESTS = 3000  # of a probe at least: of fewer too few are late to tell one rate from another


def why_failed(found: dict[str, Any], timeout: float) -> str:
    """Return why a run was given up, or had no answer: how most of its requests failed."""
    silent = [one for one in found["errors"] if one["status"] is None] if found["ended"] == "gone" else []
    first = max(
        silent or found["errors"], key=lambda one: one["count"], default={"status": None, "said": "nothing was sent"}
    )
    if first["status"]:
        why = f"refused: {first['status']} {first['said']}"
    elif first["said"] == "timeout":
        why = f"no answer came within --timeout {timeout:g}s"
    else:
        why = f"nobody answers any more ({first['said']})"
    asked = found["requests"] + (found.get("unsent") or 0)
    return f"{why}; {found['answered']:,} of {asked:,} requests were answered"


@dataclass
class Work:
    """All runs of a command line. `failed` says whether the service went away, or its vectors are not right."""

    arguments: LoadArguments
    endpoint: Endpoint
    payloads: dict[int, Payload]
    dimension: int
    run: Session
    reference: Reference | None
    failed: bool = False
    number: int = 0
    _progress: Progress = field(default_factory=Progress)
    _answers: dict[int, Answers] = field(default_factory=dict)  # by run

    def measure(self) -> None:
        """Measure every setting, one after the other, and then look at the vectors."""
        if self.arguments.scenario == "slo":
            for inputs in self.arguments.inputs_per_request:
                self.find_limit(inputs)
        for setting in settings(self.arguments):
            if self.one(setting)[0]["ended"] == "gone":
                break
        self.judge()

    def one(self, setting: Setting, cold: bool = True, name: str = "") -> tuple[dict[str, Any], Records]:
        """Warm up where it is cold, send, print every request and what they say; return both. Raises what ended it.

        `name` says which run it is while it lasts.
        """
        arguments, payload = self.arguments, self.payloads[setting.inputs]
        warm = self.warm(setting, payload) if cold else None
        plan = plan_of(arguments, setting, self.endpoint, payload)
        ends = arguments.duration is not None or arguments.requests is None
        lasts = plan.due[-1] if plan.due else setting.seconds if ends else None
        of = "" if lasts is None else f" of {lasts:.0f}"
        before = counted(self.endpoint.base)
        try:
            records, interruption = processes.run(
                plan, arguments.processes, lambda seconds: self._progress.show(f"{name}{setting}: {seconds:.0f}{of} s")
            )
        finally:
            self._progress.clear()
        self.number += 1
        found = self.summary(setting, payload, records, before)
        said = self.tell(setting, records, {**found, "warmup": warm}, interrupted=interruption is not None)
        if interruption is not None:
            raise interruption
        return said, records

    def warm(self, setting: Setting, payload: Payload) -> dict[str, Any] | None:
        """Send for a while what is in no figure; return how much that was."""
        if not self.arguments.warmup:
            return None
        plan = warm_up(self.arguments, setting, self.endpoint, payload)
        records, interruption = processes.run(plan, self.arguments.processes, lambda seconds: None)
        if interruption is not None:
            raise interruption
        said = summary(records, None, setting.inputs, None)
        return {"seconds": self.arguments.warmup, "requests": said["requests"], "failed": said["failed"]}

    def summary(self, setting: Setting, payload: Payload, records: Records, before: Counted) -> dict[str, Any]:
        """Return what a run's requests say, those answers decoded that were kept; `before` is what was counted then."""
        answers = self._answers[self.number] = decode(self.endpoint, payload, records)
        found = summary(records, self.arguments.slo, setting.inputs, answers.tokens(records))
        after = counted(self.endpoint.base)
        counts, tokens = means(before, after, found["answered"]), found.get("tokens")
        spent = joules(before, after, found["seconds"])
        each = spent.joules / tokens if spent.joules is not None and tokens else None
        return {
            **found,
            **({"server_ms": counts} if counts else {}),
            "look_again_seconds": looked_again(before, after),
            "joules_per_million_tokens": None if each is None else round(each * 1e6, 3),
            **({"joules_reason": spent.reason} if spent.reason else {}),
            "decode_ms": answers.decode_ms,
        }

    def tell(self, setting: Setting, records: Records, found: dict[str, Any], interrupted: bool) -> dict[str, Any]:
        """Write the lines of a run."""
        for line in request_lines(records, self.number):
            self.run.log.write(line)
        said = {
            "run": self.number,
            **setting.said(),
            "processes": self.arguments.processes,
            "ended": "interrupted" if interrupted else "gone" if records.gone else "done",
            **found,
            "timeout": self.arguments.timeout,
        }
        self.run.log.write(lines.JsonLine("LOAD", said))
        if not interrupted and (records.gone or not found["answered"]):
            self.failed = True
            warn(f"{setting}: {why_failed(said, self.arguments.timeout)}")
        return said

    def find_limit(self, inputs: int) -> None:
        """Find the largest rate that keeps the SLO, and say it."""
        arguments = self.arguments
        seconds = min(arguments.seconds, 5.0)
        capacity, _ = self.one(Setting("offline", inputs, concurrency=OFFLINE, seconds=seconds))
        if capacity["ended"] == "gone" or not capacity["answered"]:
            return

        numbers = itertools.count(1)

        def probe(rate: float) -> Probe:
            seconds = max(arguments.seconds, PROBE_REQUESTS / rate)
            setting = Setting("open", inputs, rate=rate, arrivals=arguments.arrivals, seconds=seconds)
            name = f"probe {next(numbers)} of {slo.MOST} at most: "
            said, records = self.one(setting, cold=False, name=name)
            return Probe.of(rate, Table(records).latencies, Table(records).lag, said, goal)

        goal = Goal((arguments.slo or 0.0) * 1e3, arguments.errors, capacity["requests_per_second"])
        limit = slo.search(probe, goal)
        self.run.log.write(lines.JsonLine("SLO", {"inputs_per_request": inputs, **slo.line(limit, goal)}))

    def judge(self) -> None:
        """Hold the answers of every run against each other and the reference, if there is one."""
        arguments = self.arguments
        for number, answers in self._answers.items():
            if not (answers.found or answers.unread):
                continue
            said = verdict(answers, self.dimension, arguments.least_cosine, self.reference, self.endpoint.dtype)
            self.run.log.write(lines.JsonLine("VEC", {"run": number, **said}))
            if said["verdict"] == "wrong":
                self.failed = True
                faults = ", ".join(f"{count} {name}" for name, count in said["faults"].items())
                warn(f"run {number}: wrong vectors: {faults} (of {said['expected']:,} in {said['answers']:,} answers)")
        odd = next((answers.odd for answers in self._answers.values() if answers.odd is not None), None)
        if odd is not None:
            warn(
                f"the service says {str(odd)[:40]!r} of a request's tokens, which is no count of tokens; it is left out"
            )
