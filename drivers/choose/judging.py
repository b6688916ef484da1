"""The last part of a choice: the finalists encode all texts, and are held against the reference, the fastest first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fmbench.console import Progress, note
from fmbench.encoder import Encoder
from fmbench.encoder.recipe import AUTO
from fmbench.tasks import Named, TaskScore

from . import records
from .entrant import Entrant
from .entrants import Entrants
from .log import ChoiceLog
from .production import program_of
from .quality import Keep, Quality, Ranking, quality
from .race import Race
from .texts import Subject

SAMPLE = 64  # passages whose tokens are counted
MINUTE = 60


@dataclass
class Judge:
    """Judges entrants of races. What is known after `judge` is by profile and name.

    Online queries are encoded one at a time, as they raced; in bulk in batches, as `retrieve evaluate` does.
    """

    entrants: Entrants
    races: Mapping[str, Race]
    subject: Subject
    keep: Keep
    log: ChoiceLog
    progress: Progress
    seed: int
    qualities: dict[tuple[str, str], Quality] = field(default_factory=dict)
    rankings: dict[tuple[str, str], Ranking] = field(default_factory=dict)

    def judge(self, cache: Path) -> None:
        """Judge who may win, after a word on how long that takes. Raises FmbenchError where the reference fails."""
        reference, bulk = self.entrants.reference.name, self.races.get("bulk")
        profiles = sorted(self.races)  # bulk first, whose passages the other one takes
        finalists = (name for race in self.races.values() for name in race.finalists())
        names = list(dict.fromkeys((reference, *finalists)))
        seconds, passages = self._seconds(names), self.subject.collection.corpus.count()
        sparse = self.entrants.reference.encoder is not None and self.entrants.reference.encoder.sparse
        kept = "sparse vectors are not kept" if sparse else "vectors are kept, and Ctrl-C loses none"
        note(
            f"judging, on top of --budget: up to {len(names)} candidates encode {passages:,} passages, "
            f"{said(sum(seconds.values()))} as they raced; {kept}"
        )
        for place, name in enumerate(names):
            later = sum(seconds[other] for other in names[place + 1 :])
            may = name == reference or self._may_win(name)
            own = self._ranking(self.entrants[name], cache, seconds[name], later) if may else None
            if own is None:
                continue
            for profile in profiles:
                self.rankings[profile, name] = own[profile]
                found = quality(self.rankings[profile, reference], own[profile], self.keep)
                equal = found.least_cosine == 1
                self.qualities[profile, name] = replace(found, kept="shown") if equal else found
            ratio = bulk.ratio(name, reference) if bulk else None
            self.log.write("FID", records.fidelity(name, reference, self.qualities[profiles[0], name], ratio, passages,
                                                   own[profiles[0]].passages.tokens_per_batch))  # fmt: skip

    def of(self, profile: str) -> dict[str, Quality]:
        """Return how good each is that was judged, in one profile."""
        return {name: found for (of, name), found in self.qualities.items() if of == profile}

    def together(self, online: str | None, bulk: str | None) -> dict[str, Any]:
        """Return what a CHOICE line says of one index for two winners: queries of the one, passages of the other.

        Nothing where both are the same, or one is not judged. Sparse vectors, and tasks, say nothing of the two.
        """
        first, queries, passages = (
            self.rankings.get((profile, name or ""))
            for profile, name in (("online", self.entrants.reference.name), ("online", online), ("bulk", bulk))
        )
        if online == bulk or first is None or queries is None or passages is None:
            return {}
        mixed = None if self.keep.measure == "tasks" else queries.among(passages, self.subject.collection.qrels)
        found = quality(first, mixed, self.keep) if mixed else None
        cosines = {name: getattr(found, name, None) for name in ("least_cosine", "mean_cosine")}
        return {"together": {"queries": online, "passages": bulk, **cosines, **records.judged(found)}}

    def _seconds(self, names: "list[str]") -> dict[str, float]:
        """Return how long each takes to encode all passages at the pace of its turns, those in bulk if any."""
        first = self.entrants.reference
        if first.encoder is None:
            self.entrants.set_up(first)
        if first.encoder is None:
            raise self.entrants.lost()
        some = self.subject.passages[:SAMPLE]
        tokens = float(first.encoder.tokenise(some).lengths.mean()) * self.subject.collection.corpus.count()
        found = {}
        for name in names:
            lanes = [lane for race in reversed(list(self.races.values())) if (lane := race.lane(name)) and lane.turns]
            turns = lanes[0].turns.values()
            found[name] = (
                tokens * sum(one.nanoseconds for one in turns) / max(1, sum(one.tokens for one in turns)) / 1e9
            )
        return found

    def _may_win(self, name: str) -> bool:
        """Whether in some profile no candidate that is shown to keep enough is surely faster."""
        return any(
            not any(
                found.kept == "shown" and (ratio := race.ratio(name, other)) and ratio.apart and ratio.value > 1
                for other, found in self.of(profile).items()
            )
            for profile, race in self.races.items()
            if name in race.finalists()
        )

    def _ranking(self, entrant: Entrant, cache: Path, seconds: float, later: float) -> dict[str, Ranking] | None:
        """Return what a candidate makes of all texts in each profile; None where it fails.

        Raises FmbenchError for the reference.

        It takes so many `seconds`, as far as is known, and those after it `later`.
        """

        def tell(done: int, count: int) -> None:
            left = later + seconds * (1 - done / max(1, count))
            self.progress.count(
                done, count, f"judges {entrant.name}: {done:,} of {count:,} passages ({said(left)} left, all together)"
            )

        if entrant.encoder is None:
            self.entrants.set_up(entrant)
        if entrant.encoder is not None:
            self.entrants.activate(entrant)
            self.progress.show(f"judges {entrant.name} ({said(seconds + later)} left, all together)", at_once=True)
            try:
                # what it kept with other batches is not what raced
                own = cache / f"{entrant.tokens_per_batch or AUTO}-tokens"
                found = Ranking.of(entrant.encoder, self.subject.collection, own, tell)
                entrant.program = program_of(entrant.encoder, entrant.facts["threads"])
                found = replace(found, tasks=[self._score(entrant, task) for task in self.subject.tasks])
                return {profile: found if profile == "bulk" else self._one_at_a_time(entrant.encoder, found, own)
                        for profile in self.races}  # fmt: skip
            except Exception as error:  # as while it races
                entrant.fail(error)
                self.entrants.tell_failure(entrant)
        if entrant is self.entrants.reference:
            raise self.entrants.lost()
        return None

    def _one_at_a_time(self, encoder: Encoder, found: Ranking, cache: Path) -> Ranking:
        """Return a ranking with queries as they raced online."""
        return replace(found.one_at_a_time(encoder, self.subject.collection, cache), tasks=found.tasks)

    def _score(self, entrant: Entrant, task: Named) -> TaskScore:
        """Return how good a candidate is for a task."""
        if entrant.encoder is None:
            raise ValueError(f"{entrant.name} is not set up")
        self.progress.show(f"judges {entrant.name}: task {task.name}")
        return task.score(entrant.encoder, self.seed)


def said(seconds: float) -> str:
    """Return how long something takes at most, as people say it."""
    return f"{math.ceil(seconds)} s at most" if seconds < 2 * MINUTE else f"{math.ceil(seconds / MINUTE)} min at most"
