"""Who races: what the platforms of this machine propose, what the user adds, and why the rest cannot run."""

import contextlib
import io
import itertools
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fmbench import backend, plugins
from fmbench.backend import Backend, Candidate
from fmbench.command_line import CommandLine
from fmbench.console import note
from fmbench.encoder import EncoderPlan
from fmbench.errors import FmbenchError, PlatformError, UsageError, nearest
from fmbench.variants import merged, short_name

from .arguments import ChooseArguments, ModelCommand, model_parser, parse_model

REFERENCE = "cpu"  # where no accelerator is
SHARED = ("model_name", "model_root", "model_class", "weights", "seed")
FLOAT32 = "float32"
DTYPE = "--platform {} --model:dtype@ torch.{}"
DECIDED = ("compile", "model:dtype", "model:torch_dtype", "model:quantization_config")  # candidates differ in these


@dataclass(frozen=True, slots=True)
class Planned:
    """One candidate: what it changes, why it is worth a try, and why it cannot run, if so."""

    name: str
    overrides: str
    reason: str
    arguments: ModelCommand | None = None
    why_not: str | None = None

    @property
    def compiles(self) -> bool:
        """Whether torch's compiler takes its time for it; what a platform always does is told from that."""
        one = self.arguments
        return one is not None and one.compile and not backend.find(one.platform).always_compiles

    def plan(self) -> EncoderPlan:
        """Return the checked command line. Raises UsageError and PlatformError."""
        if self.arguments is None:
            raise PlatformError(f"{self.name}: {self.why_not}")
        return EncoderPlan.of(self.arguments, self.arguments.recipe, sparse=True)


def plan(arguments: ChooseArguments, calibration: Path | None) -> tuple[list[Planned], list[str]]:
    """Return all candidates, the reference first, and which platforms are not here that nobody named.

    Nothing slow happens. `calibration` is a file of texts. Raises UsageError and PlatformError for what the user named,
    and where the reference cannot run.
    """
    classes = platforms(arguments.platforms)
    here = {name: cls for name, cls in classes.items() if name in arguments.platforms or cls.why_not() is None}
    first = next((name for name, cls in classes.items() if cls.numbered and cls.why_not() is None), REFERENCE)
    base = base_of(arguments.command, first)
    reference = Planned(
        f"{first} {FLOAT32}", "", "the reference: torch as it comes, nothing rounded", parse_model(base)
    )
    reference.plan()
    again = arguments.again.only
    own = [] if again or first not in here else list(own_type(arguments.command, base, first))
    taken = [reference, *own] + [
        planned(base, "", here_again(one, calibration)) for one in again
        if any(arguments.again.enters(one.name, profile) for profile in arguments.profiles)
    ]  # fmt: skip
    turns = in_turns([proposed(base, name, cls, calibration) for name, cls in ({} if again else here).items()], taken)
    asked = [planned(base, "--vs", Candidate(short_name(text), text, "--vs")) for text in arguments.vs]
    asked = distinct(asked, [*taken, *turns], note)
    late = [one for one in own if not computes_fast(classes[first], one)]  # it would take the budget of the others
    found = [*(one for one in taken if one not in late), *asked, *turns, *late]
    found = without(found, arguments.without)
    if all(one.why_not for one in found[1:]):
        reasons = "; ".join(f"{one.name}: {one.why_not}" for one in found[1:]) or "none is proposed"
        raise UsageError(f"no candidate beside {reference.name} can run here ({reasons}); add one with --vs")
    return found, sorted(classes.keys() - here)


def here_again(one: Candidate, calibration: Path | None) -> Candidate:
    """Return a candidate of a file with the texts that lie here, if it names the same: they are called by digest."""
    if calibration is None:
        return one
    words = [str(calibration) if Path(word).name == calibration.name else word for word in shlex.split(one.overrides)]
    return replace(one, overrides=shlex.join(words))


def base_of(command: CommandLine, platform: str) -> CommandLine:
    """Return the reference's command line, of which the others are changes. Raises UsageError for what they differ in.

    A checkpoint of another type is widened.
    """
    for name, value in command.given:
        if name.rstrip("@").startswith(DECIDED):
            raise UsageError(
                f"--{name}: the reference is float32 without a compiler, and every candidate has its own; add one with "
                f"--vs {shlex.quote(f'--{name} {shlex.quote(value)}')}"
            )
    return command.with_(CommandLine.parse(shlex.split(DTYPE.format(platform, FLOAT32)), ()))


def own_type(command: CommandLine, base: CommandLine, platform: str) -> Iterator[Planned]:
    """Yield the model in the type that its checkpoint has, where that is not the reference's."""
    own = parse_model(command.with_(CommandLine.parse(["--platform", platform], ())))
    with quietly():
        dtype = EncoderPlan.of(own, own.recipe, sparse=True).source.dtype
    if dtype not in (None, FLOAT32):
        reason = "the checkpoint's own type, which the reference is widened from"
        yield planned(base, "", Candidate(f"{platform} {dtype}", DTYPE.format(platform, dtype), reason))


def computes_fast(cls: type[Backend], own: Planned) -> bool:
    """Whether a platform multiplies a checkpoint's own type in instructions of its own, as far as it says."""
    fast, dtype = [one.split()[0] for one in cls.computes_fast()], own.name.split()[-1]
    return not fast or dtype in fast


def platforms(names: Iterable[str]) -> dict[str, type[Backend]]:
    """Return the platforms that are named, or all that run a model unasked, accelerators first. Raises UsageError."""
    if names:
        every = plugins.discover(backend.GROUP)[0]
        for name in names:
            if name not in every:
                raise UsageError(f"--platforms {name}: unknown{nearest(name, every)} (known: {', '.join(every)})")
            if not backend.find(name).builds_model:
                raise UsageError(f"--platforms {name}: no model runs there")
        return {name: type(backend.find(name)) for name in names}
    found: dict[str, type[Backend]] = {}
    for plugin in plugins.discover(backend.GROUP)[0].values():
        with contextlib.suppress(plugins.BrokenPluginError):  # `fmbench backends` names it
            cls = backend.load_class(plugin)
            found |= {plugin.name: cls} if cls.builds_model and not cls.needs_option else {}
    return dict(sorted(found.items(), key=lambda item: not item[1].numbered))


def proposed(base: CommandLine, name: str, cls: type[Backend], calibration: Path | None) -> Iterator[Planned]:
    """Yield what one platform proposes; one that is not usable is a row that says why."""
    if reason := cls.why_not():
        yield Planned(
            name, f"--platform {name}", cls.summary, None, f"{reason} ({cls.install})" if cls.install else reason
        )
        return
    words = ["--platform", name, *(["--platform:calibration", str(calibration)] if calibration else ())]
    asked = parse_model(base.with_(CommandLine.parse(words, ())))
    try:
        found = cls().candidates(asked)
    except PlatformError as error:
        yield Planned(name, f"--platform {name}", cls.summary, None, str(error))
        return
    for one in found or [Candidate("", "", "the one way to run there")]:
        overrides = f"--platform {name} {one.overrides}".strip()
        yield planned(base, "", Candidate(f"{name} {one.name}".strip(), overrides, one.reason))


def planned(base: CommandLine, option: str, candidate: Candidate) -> Planned:
    """Return a candidate, checked. Raises UsageError where overrides that the user typed cannot be read."""
    name, overrides, reason = candidate.name, candidate.overrides, candidate.reason
    try:
        changed = merged(model_parser(), base, overrides, SHARED, option or "candidate", lambda _: None)
        arguments = parse_model(changed)
    except UsageError as error:
        if option:
            raise
        return Planned(name, overrides, reason, None, str(error))
    found = Planned(name, overrides, reason, arguments)
    try:
        with quietly():
            found.plan()
    except FmbenchError as error:
        return Planned(name, overrides, reason, None, str(error))
    return found


def quietly() -> contextlib.AbstractContextManager[object]:
    """Return a context without warnings: what is said of a model's folder was said of the reference."""
    return contextlib.redirect_stderr(io.StringIO())


def fewer_threads(base: Planned, command: CommandLine, threads: int) -> Planned:
    """Return a candidate with another number of threads."""
    name = f"{base.name}, {threads} thread{'s' * (threads != 1)}"
    return planned(command, "", Candidate(name, f"{base.overrides} --threads {threads}".strip(), "fewer threads"))


def in_turns(proposals: Iterable[Iterable[Planned]], taken: Sequence[Planned]) -> list[Planned]:
    """Return what is new of the platforms' proposals, a platform after the other: a small budget tries one of each."""
    new = [distinct(some, taken, lambda _: None) for some in proposals]
    turns = [one for turn in itertools.zip_longest(*new) for one in turn if one is not None]
    return distinct(turns, taken, lambda _: None)


def distinct(some: Iterable[Planned], others: Iterable[Planned], tell: Callable[[str], None]) -> list[Planned]:
    """Return the candidates that are none of others, nor of those before them, by another name; tell of the rest."""
    known, found = list(others), list[Planned]()
    for one in some:
        twin = next((other for other in known if one.arguments and other.arguments and
                     one.arguments.given == other.arguments.given), None)  # fmt: skip
        if twin is None:
            found.append(one)
            known.append(one)
        else:
            tell(f"{one.reason} {shlex.quote(one.overrides)} is the same configuration as {twin.name}, and races once")
    return found


def without(found: list[Planned], names: Iterable[str]) -> list[Planned]:
    """Return the candidates but for those named, or whose platform is. Raises UsageError for a name of none."""
    for name in names:
        if name == found[0].name:
            raise UsageError(f"--without {name}: is the reference, which all others are held against")
        kept = [one for one in found if one is found[0] or name not in (one.name, one.name.split()[0])]
        if len(kept) == len(found):
            every = [one.name for one in found[1:]]
            raise UsageError(f"--without {name}: no candidate{nearest(name, every)} (candidates: {', '.join(every)})")
        found = kept
    return found
