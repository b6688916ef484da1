"""The service: which API it speaks, how a request is written there, and how an answer is read."""

import base64
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fmbench.errors import UsageError, first_line
from fmbench.model import published_name

from .arguments import KEY, LoadArguments

if TYPE_CHECKING:
    import numpy as np

LOCKED = (401, 403)  # statuses that ask for a key
PATIENCE = 60.0  # seconds for a question before the run: the first one may load or compile something there
REDIRECTS = range(300, 400)

ROW_OF_TEI = re.compile(rb"\[(?=\s*[^\s\[\]{])")
ROW_OF_OPENAI = re.compile(rb'"embedding"\s*:\s*(?:"[^"]|\[\s*[^\s\]])')


class Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is for the host alone that the user named."""

    def redirect_request(self, *_: Any) -> None:
        """Return nothing that could be asked instead."""


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stays)  # as requests go


class BadAnswerError(Exception):
    """A body that holds no vectors as the API says; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where requests go and how they read. `info` is what the service says of itself."""

    base: str
    api: str
    model: str
    encoding: str = "base64"
    dimensions: int | None = None
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of a request."""
        return f"{self.base}/embed" if self.api == "tei" else f"{self.base}/v1/embeddings"

    @property
    def dtype(self) -> str | None:
        """What the service says that it computes in, as `fmbench serve` and TEI do."""
        facts = self.info.get("facts")
        said = {"dtype": self.info.get("model_dtype"), **(facts if isinstance(facts, dict) else {})}
        return next((said[key] for key in ("precision", "dtype") if isinstance(said.get(key), str)), None)

    def body(self, texts: Sequence[str]) -> bytes:
        """Return the body of a request."""
        cut = {} if self.dimensions is None else {"dimensions": self.dimensions}
        if self.api == "tei":
            return json.dumps({"inputs": list(texts), **cut}).encode()
        said = {"model": self.model, "input": list(texts), "encoding_format": self.encoding, **cut}
        return json.dumps(said).encode()

    def count(self, raw: bytes) -> int:
        """Return how many vectors an answer seems to hold, without decoding it."""
        return len((ROW_OF_TEI if self.api == "tei" else ROW_OF_OPENAI).findall(raw))

    def vectors(self, raw: bytes) -> "tuple[np.ndarray, Any]":
        """Return the vectors of an answer, float32 of shape (n, d), and what it says of its tokens.

        Raises BadAnswerError.
        """
        import numpy as np

        try:
            said = json.loads(raw)
            rows = said if self.api == "tei" else sorted(said["data"], key=lambda one: one["index"])
            if self.api != "tei":
                if [one["index"] for one in rows] != list(range(len(rows))):
                    raise BadAnswerError("its indices are not 0, 1, ...")
                rows = [one["embedding"] for one in rows]
            found = [
                np.frombuffer(base64.b64decode(row, validate=True), "<f4") if isinstance(row, str) else row
                for row in rows
            ]
            vectors = np.array(found, dtype=np.float32)
            usage = None if self.api == "tei" else said.get("usage")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadAnswerError(f"no vectors ({first_line(error)})") from None
        if vectors.ndim != 2:
            raise BadAnswerError("its vectors differ in length")
        return vectors, usage.get("prompt_tokens") if isinstance(usage, dict) else usage


def headers() -> dict[str, str]:
    """Return the headers of a request, the user's key among them. Raises UsageError for one that no header can hold."""
    key = os.environ.get(KEY, "")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{KEY}: holds what no header can: a line break, or a letter beyond ASCII")
    return {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of one question. Raises UsageError where nobody answers."""
    request = urllib.request.Request(url, body, headers())  # noqa: S310 (http or https: the command line checks)
    try:
        with DIRECT.open(request, timeout=PATIENCE) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            moved = error.code in REDIRECTS
            return error.code, elsewhere(error.headers["Location"]).encode() if moved else error.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or first_line(error)
        if isinstance(reason, TimeoutError):
            said = f"not within {PATIENCE:g} s"
        hint = "; give its authority with the variable SSL_CERT_FILE" if "certificate" in str(reason) else ""
        raise UsageError(f"--url {place(url)}: nobody answers ({said}){hint}") from None


def place(url: str) -> str:
    """Return an address as messages have it: without path, user and password."""
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}"


def elsewhere(address: str | None) -> str:
    """Return what messages say of an answer that sends its client elsewhere, to what its header Location says."""
    return f"to {(address or 'nowhere').partition('?')[0]}; no redirect is followed: --url names the address itself"


def refusal(status: int, raw: bytes) -> str:
    """Return what a service says where it does not answer."""
    said = " ".join(raw[:300].decode("utf-8", "replace").split())
    return f"was refused: {status} {said}" + (f"; set {KEY}" if status in LOCKED else "")


def json_of(status: int, raw: bytes) -> Any:
    """Return what a service says, or None where that is no JSON."""
    try:
        return json.loads(raw) if status == 200 else None
    except ValueError:
        return None


def find(arguments: LoadArguments, url: str) -> Endpoint:
    """Ask a service what it speaks and serves. Raises UsageError where that is not what the command line says."""
    base = url.removesuffix("/v1").removesuffix("/embeddings").removesuffix("/v1").removesuffix("/embed")
    answers = {route: ask(f"{base}{route}") for route in ("/info", "/v1/models")}
    info, models = (json_of(*answer) for answer in answers.values())
    info = info if isinstance(info, dict) and "model_id" in info else {}
    listed = models.get("data") if isinstance(models, dict) else None
    names = [str(one["id"]) for one in listed or () if isinstance(one, dict) and "id" in one]
    if not info and not names:
        for route, (status, raw) in answers.items():
            if status in (*LOCKED, *REDIRECTS):
                raise UsageError(f"--url {place(base)}: {route} {refusal(status, raw)}")
        raise UsageError(
            f"--url {place(base)}: another service: it answers neither /info as TEI does nor /v1/models as OpenAI's API"
        )
    known = [*names, *([str(info["model_id"])] if info else [])]
    name = next((name for name in (arguments.model_name, published_name(arguments.typed)) if name in known), None)
    if name is None:
        raise UsageError(
            f"--model_name {arguments.model_name}: not served there, but {', '.join(dict.fromkeys(known))}"
        )
    api = arguments.api or ("openai" if names else "tei")
    return Endpoint(
        base=base, api=api, model=name, encoding=arguments.encoding, dimensions=arguments.dimensions,
        info=info,
    )  # fmt: skip


def try_once(endpoint: Endpoint, body: bytes, inputs: int) -> int:
    """Ask for vectors once, and return their dimension. Raises UsageError."""
    status, raw = ask(endpoint.url, body)
    if status != 200:
        raise UsageError(f"--url {place(endpoint.base)}: a first request {refusal(status, raw)}")
    try:
        vectors, _ = endpoint.vectors(raw)
    except BadAnswerError as error:
        said = " ".join(raw[:80].decode("utf-8", "replace").split())
        raise UsageError(f"--url {place(endpoint.base)}: its answer holds {error}: {said}") from None
    if len(vectors) != inputs:
        raise UsageError(f"--url {place(endpoint.base)}: {len(vectors)} vectors came for {inputs} texts")
    return int(vectors.shape[1])
