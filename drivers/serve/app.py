"""The routes: OpenAI's embeddings and those of text-embeddings-inference (TEI), each with its own way to say errors."""

import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fmbench import __version__
from fmbench.counters import Counter
from fmbench.serving import LARGEST_BODY

from .engine import Answer, Engine, OverloadedError, TooLongError
from .metrics import Metrics

if TYPE_CHECKING:
    import numpy as np

    from fmbench.encoder import Role

ROLES = ("query", "passage")
FORMATS = ("float", "base64")


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 (an answer, not a fault of the program)
    """A request that is not answered with vectors: its status, and what TEI calls such an error."""

    status: int
    message: str
    kind: str = "Validation"

    def openai(self) -> Response:
        """Return it as OpenAI's API says it."""
        kind = "invalid_request_error" if self.status < 429 else "server_error"
        kind = "rate_limit_exceeded" if self.status == 429 else kind
        error = {"message": self.message, "type": kind, "param": None, "code": None}
        return reply({"error": error}, self.status)

    def tei(self) -> Response:
        """Return it as TEI says it."""
        return reply({"error": self.message, "error_type": self.kind}, self.status)


@dataclass(frozen=True, slots=True)
class Served:
    """What is served: its name, the role that a text has where its request names none, and the limits of a request.

    `facts` are those of a log of the same platform and model; `normalises` says whether vectors that are cut to fewer
    dimensions are made one long again.
    """

    engine: Engine
    name: str
    dimension: int
    role: "Role"
    inputs: int
    facts: Mapping[str, Any]
    energy: Callable[[], Counter]
    normalises: bool = True


def reply(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response of JSON."""
    return Response(json.dumps(data), status, dict(headers or {}), "application/json")


def application(served: Served) -> Starlette:
    """Return the application."""
    metrics = Metrics(served.engine, served.energy)
    routes = Routes(served, metrics)

    def route(path: str, call: Callable[[Request], Awaitable[Response]], openai: bool) -> Route:
        async def answered(request: Request) -> Response:
            try:
                response = await call(request)
            except Refusal as refusal:
                response = refusal.openai() if openai else refusal.tei()
            except Exception as error:  # what a model raises
                failure = Refusal(500 if openai else 424, f"{type(error).__name__}: {error}", "Backend")
                response = failure.openai() if openai else failure.tei()
            metrics.count(path, response.status_code)
            return response

        return Route(path, answered, methods=["POST"])

    async def said_metrics(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[
        route("/v1/embeddings", routes.embeddings, openai=True),
        route("/embed", routes.embed, openai=False),
        Route("/v1/models", routes.models),
        Route("/info", routes.info),
        Route("/health", routes.health),
        Route("/metrics", said_metrics),
    ])  # fmt: skip


class Routes:
    """What each route answers."""

    def __init__(self, served: Served, metrics: Metrics) -> None:
        self._served, self._metrics = served, metrics

    async def embeddings(self, request: Request) -> Response:
        """Answer `/v1/embeddings`."""
        start, body = time.monotonic(), await body_of(request)
        name, form = body.get("model", self._served.name), body.get("encoding_format") or "float"
        if name != self._served.name:
            raise Refusal(404, f"the model {name!r} is not served here, only {self._served.name!r}")
        if form not in FORMATS:
            raise Refusal(400, f"encoding_format {form!r}: it is one of {', '.join(FORMATS)}")
        texts, dimensions = self._texts(body.get("input"), "input"), self._dimensions(body)
        answer = await self._answer(texts, self._served.role, cut=True)
        vectors = self._cut(answer.vectors, dimensions)
        form_of = in_base64 if form == "base64" else listed
        data = [
            {"object": "embedding", "index": place, "embedding": form_of(vector)}
            for place, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
        said = {"object": "list", "data": data, "model": self._served.name, "usage": usage}
        return reply(said, headers=self._times(answer, start))

    async def embed(self, request: Request) -> Response:
        """Answer `/embed`."""
        start, body = time.monotonic(), await body_of(request)
        role = body.get("prompt_name") or self._served.role
        if role not in ROLES:
            raise Refusal(422, f"prompt_name {role!r}: it is one of {', '.join(ROLES)}")
        texts, dimensions = self._texts(body.get("inputs"), "inputs"), self._dimensions(body)
        answer = await self._answer(texts, cast("Role", role), cut=body.get("truncate") is not False)
        vectors = self._cut(answer.vectors, dimensions)
        return reply([listed(vector) for vector in vectors], headers=self._times(answer, start))

    async def models(self, _: Request) -> Response:
        """Answer `/v1/models`."""
        model = {"id": self._served.name, "object": "model", "created": 0, "owned_by": "fmbench"}
        return reply({"object": "list", "data": [model]})

    async def info(self, _: Request) -> Response:
        """Answer `/info`, as TEI does; `server` says that it is not TEI."""
        served = self._served
        return reply({
            "model_id": served.name, "model_type": {"embedding": {"pooling": None}}, "server": "fmbench",
            "version": __version__, "max_client_batch_size": served.inputs,
            "max_input_length": served.engine.max_length, "facts": dict(served.facts),
        })  # fmt: skip

    async def health(self, _: Request) -> Response:
        """Answer `/health`: 503 where no request is answered any more."""
        return Response(status_code=200 if self._served.engine.wrong is None else 503)

    def _texts(self, found: Any, key: str) -> list[str]:
        texts = [found] if isinstance(found, str) else found
        if isinstance(texts, list) and any(type(one) in (int, list) for one in texts):
            raise Refusal(422, f"{key}: token ids are not taken, since the model's prompt stands before a text")
        if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
            status, kind = (400, "Empty") if found in (None, []) else (422, "Validation")
            raise Refusal(status, f"{key} is no text and no list of texts", kind)
        if len(texts) > self._served.inputs:
            raise Refusal(422, f"batch size {len(texts)} > maximum allowed batch size {self._served.inputs}")
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            raise Refusal(422, f"{key}: half of a surrogate pair, which is no character") from None
        return texts

    async def _answer(self, texts: list[str], role: "Role", cut: bool) -> Answer:
        try:
            return await self._served.engine.answer(texts, role, cut)
        except OverloadedError:
            raise Refusal(429, "Model is overloaded", "Overloaded") from None
        except TooLongError:
            most = self._served.engine.max_length
            raise Refusal(422, f"an input has more tokens than the {most} that are looked at") from None

    def _dimensions(self, body: Mapping[str, Any]) -> int | None:
        dimensions = body.get("dimensions")
        if dimensions is None or (type(dimensions) is int and 1 <= dimensions <= self._served.dimension):
            return dimensions
        raise Refusal(422, f"dimensions {dimensions!r}: a whole number from 1 to {self._served.dimension}")

    def _cut(self, vectors: "np.ndarray", dimensions: int | None) -> "np.ndarray":
        """Return the first dimensions of vectors (Matryoshka), one long again where all are."""
        import numpy as np

        if dimensions is None:
            return vectors
        short = vectors[:, :dimensions]
        norms = np.linalg.norm(short, axis=1, keepdims=True) if self._served.normalises else np.float32(1)
        return short / np.maximum(norms, np.float32(1e-12))

    def _times(self, answer: Answer, start: float) -> dict[str, str]:
        """Return TEI's headers, in milliseconds; with decimals, which TEI cuts off."""
        total = time.monotonic() - start
        self._metrics.add(answer, total)
        times = {"total": total, "tokenization": answer.tokenise, "queue": answer.queue, "inference": answer.compute}
        said = {f"x-{name}-time": f"{seconds * 1e3:.3f}" for name, seconds in times.items()}
        return {**said, "x-compute-tokens": str(answer.tokens)}


async def body_of(request: Request) -> dict[str, Any]:
    """Return the object that a request carries. Raises Refusal for one that is too large, and for no object."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > LARGEST_BODY:
                raise Refusal(413, f"the body has more than {LARGEST_BODY} bytes")
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON ({error})") from None
    except ClientDisconnect:
        raise Refusal(499, "the client went away") from None
    if not isinstance(found, dict):
        raise Refusal(400, "the body is no JSON object")
    return found


def in_base64(vector: "np.ndarray") -> str:
    """Return a vector as OpenAI's clients ask for it: its little-endian float32, in base64."""
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")


def listed(vector: "np.ndarray") -> list[float]:
    """Return a vector as numbers."""
    return cast("list[float]", vector.tolist())
