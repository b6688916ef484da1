"""Which runs a command line asks for, and when their requests are due."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .arguments import LoadArguments
from .client import Plan
from .endpoint import Endpoint
from .payload import Payload

OFFLINE = 64  # clients
WARM = 8  # clients that warm an open run up


@dataclass(frozen=True, slots=True)
class Setting:
    """One run: a scenario with its number of clients or its rate."""

    scenario: str
    inputs: int
    concurrency: int | None = None
    rate: float | None = None
    arrivals: str | None = None
    seconds: float = 0.0

    def said(self) -> dict[str, Any]:
        """Return what a LOAD line says of it."""
        return {
            "scenario": self.scenario, "inputs_per_request": self.inputs, "concurrency": self.concurrency,
            "rate": self.rate, "arrivals": self.arrivals,
        }  # fmt: skip

    def __str__(self) -> str:
        how = f"{self.rate:g}/s" if self.rate else f"{self.concurrency} clients" if self.concurrency else ""
        return " ".join(part for part in (self.scenario, how) if part)


def settings(arguments: LoadArguments) -> Iterator[Setting]:
    """Yield the runs of every scenario but slo, which finds its own."""
    scenario, seconds = arguments.scenario, arguments.seconds
    for inputs in arguments.inputs_per_request if scenario != "slo" else ():
        if scenario == "open":
            for rate in arguments.rate:
                yield Setting(scenario, inputs, rate=rate, arrivals=arguments.arrivals, seconds=seconds)
        elif scenario == "trace":
            yield Setting(scenario, inputs, seconds=seconds)
        else:
            given = "concurrency" in dict(arguments.given)
            default = {"single": (1,), "offline": (OFFLINE,)}.get(scenario, arguments.concurrency)
            for clients in arguments.concurrency if given else default:
                yield Setting(scenario, inputs, concurrency=clients, seconds=seconds)


def due(arguments: LoadArguments, setting: Setting, payload: Payload) -> list[float] | None:
    """Return when each request is due, in seconds from the start; None where clients wait for their answers.

    Poisson arrivals have exponential gaps; the run ends with its time, or after --requests.
    """
    import numpy as np

    if setting.scenario == "trace":
        last = arguments.duration or float("inf")
        return list(itertools.takewhile(lambda moment: moment <= last, payload.due or ()))
    if setting.rate is None:
        return None
    count = arguments.requests or 10**9
    if setting.arrivals == "constant":
        return (np.arange(min(count, max(1, round(setting.rate * setting.seconds)))) / setting.rate).tolist()
    generator = np.random.default_rng([arguments.seed, round(setting.rate * 1000)])
    expected = min(count, setting.rate * setting.seconds)
    drawn = generator.exponential(1 / setting.rate, round(expected + 10 * expected**0.5 + 10)).cumsum()
    return drawn[drawn < setting.seconds][:count].tolist() or [0.0]


def plan_of(arguments: LoadArguments, setting: Setting, endpoint: Endpoint, payload: Payload) -> Plan:
    """Return the plan of a run."""
    return Plan(
        endpoint.url, payload.bodies, setting.inputs, endpoint.count, 0.0, arguments.timeout,
        max(1, arguments.sample // setting.inputs), arguments.seed, due=due(arguments, setting, payload),
        concurrency=setting.concurrency or 1, seconds=setting.seconds, requests=arguments.requests,
    )  # fmt: skip


def warm_up(arguments: LoadArguments, setting: Setting, endpoint: Endpoint, payload: Payload) -> Plan:
    """Return a closed plan that is in no figure; it begins in the middle of the payload."""
    clients = setting.concurrency or WARM
    return Plan(
        endpoint.url, payload.bodies, setting.inputs, endpoint.count, 0.0, arguments.timeout, 1, arguments.seed,
        concurrency=clients, seconds=arguments.warmup, offset=len(payload.bodies) // 2,
    )  # fmt: skip
