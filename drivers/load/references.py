"""What answers are held against: a model's own vectors in float32, computed here, or those that a capture holds."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.capture.manifest import FILE, digest_of_text
from fmbench.capture.reader import ArtifactReader
from fmbench.console import note
from fmbench.encoder import EncoderPlan, Recipe, Role
from fmbench.errors import UsageError
from fmbench.options import SETS, Arguments

from .arguments import LoadArguments

if TYPE_CHECKING:
    import numpy as np

    from fmbench.encoder import Encoder

PROBE = "normalised"
LENGTHS = (32, 64, 128, 256, 512)  # tokens at which servers cut texts


class Reference(ABC):
    """Vectors to hold answers against; `role` is whose prompt the service puts before a text.

    `dtype` is what they were computed in; `as_long`, whether they are as long as the model makes them.
    """

    dtype: str
    as_long = True

    def __init__(self, folder: str, role: Role, dimensions: int | None) -> None:
        self.folder, self.role, self.dimensions = folder, role, dimensions

    @property
    def name(self) -> str:
        """What a VEC line calls it."""
        return self.folder.rstrip("/").rpartition("/")[2]

    def expect(self, texts: Sequence[str]) -> None:
        """Raise UsageError where there is no vector of one of these texts."""

    @abstractmethod
    def vectors(self, texts: Sequence[str]) -> "Mapping[str, np.ndarray]":
        """Return the vector of every text, and perhaps of others."""

    def others(self, texts: Sequence[str]) -> "Iterator[tuple[str, Mapping[str, np.ndarray]]]":
        """Yield the vectors of texts in ways that services get wrong, each with its name, where they are known."""
        return iter(())


class ModelReference(Reference):
    """A model in float32, as its folder says. Raises UsageError for what is no model's folder."""

    dtype = "float32"

    def __init__(self, folder: str, role: Role, dimensions: int | None) -> None:
        super().__init__(folder, role, dimensions)
        self._known: dict[str, np.ndarray] = {}
        self.plan(role)

    def encoder(self, role: Role, most: int | None = None, plain: bool = False) -> "Encoder":
        """Return the model, its texts cut to `most` tokens, without prompts where it is to be `plain`."""
        from fmbench.encoder import Encoder

        return Encoder(self.plan(role, most, plain))

    def plan(self, role: Role, most: int | None = None, plain: bool = False) -> EncoderPlan:
        """Return the same before it is loaded."""
        options: dict[str, Any] = {name: {} for name in SETS}
        arguments = Arguments(
            platform="cpu", model_name=self.folder, options={**options, "model": {"dtype": self.dtype}}
        )
        prompt = "" if plain else None
        recipe = Recipe(
            query_prompt=prompt, passage_prompt=prompt, query_max_length=most, passage_max_length=most,
            truncate_dim=self.dimensions, normalise=True if self.dimensions else None,
        )  # fmt: skip
        return EncoderPlan.of(arguments, recipe)

    def vectors(self, texts: Sequence[str]) -> "Mapping[str, np.ndarray]":
        """Return the vector of every text."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing and not self._known:
            note(f"computes the reference's vectors in float32 ({self.folder})")
        if missing:
            self._known.update(zip(missing, self.encoder(self.role).encode(missing, self.role), strict=True))
        return self._known

    def others(self, texts: Sequence[str]) -> "Iterator[tuple[str, Mapping[str, np.ndarray]]]":
        """Yield them with another prompt, and cut to other lengths."""
        other: Role = "query" if self.role == "passage" else "passage"
        for name, role, most, plain in (
            ("another prompt", other, None, False),
            ("another prompt", self.role, None, True),
            *(("cut elsewhere", self.role, length, False) for length in LENGTHS),
        ):  # fmt: skip
            try:
                encoder = self.encoder(role, most, plain)
            except UsageError:  # longer than the model takes
                continue
            yield name, dict(zip(texts, encoder.encode(texts, role), strict=True))


class CaptureReference(Reference):
    """The vectors of a capture: which model and type they are of, its manifest says. Raises UsageError."""

    as_long = False  # the probe makes all one long

    def __init__(self, folder: str, role: Role, dimensions: int | None) -> None:
        super().__init__(folder, role, dimensions)
        self._reader = ArtifactReader(Path(folder), [PROBE])
        self.dtype = str(self._reader.manifest.fingerprint.get("dtype"))
        self._artifact = self._reader.find(f"{PROBE}/{role}")
        self._places = {digest: place for place, digest in enumerate(self._reader.texts(role))}
        if not self._places:
            raise UsageError(f"{folder}: does not name the texts that it has as {role}; capture again")

    def expect(self, texts: Sequence[str]) -> None:
        """Raise UsageError where the capture lacks one of these texts."""
        lacks = [text for text in dict.fromkeys(texts) if digest_of_text(text) not in self._places]
        if lacks:
            raise UsageError(
                f"--reference {self.folder}: has no vector of {len(lacks):,} of the texts that are sent, such as "
                f"{lacks[0][:40]!r}; send those that were captured as {self.role}, or capture these"
            )

    def vectors(self, texts: Sequence[str]) -> "Mapping[str, np.ndarray]":
        """Return the vector of every text."""
        rows = self._reader.tensor(self._artifact).float().numpy()[:, : self.dimensions]
        return {text: rows[self._places[digest_of_text(text)]] for text in dict.fromkeys(texts)}


def reference_of(arguments: LoadArguments) -> Reference | None:
    """Return the model or capture that the command line names, if any. Raises UsageError for what is neither."""
    if arguments.reference is None:
        return None
    kind = CaptureReference if (Path(arguments.reference) / FILE).is_file() else ModelReference
    try:
        return kind(arguments.reference, arguments.role, arguments.dimensions)
    except UsageError as error:
        raise UsageError(f"--reference: {error}") from None
