"""The reference server: its routes, its refusals, its limits, and how it ends."""

import asyncio
import base64
import dataclasses
import json
import signal
import sys
import threading
import time

import numpy as np
import pytest

from fmbench import children
from fmbench.drivers.serve.engine import EncoderEngine
from fmbench.drivers.serve.serve import listen
from fmbench.encoder import Encoder
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.serving import parse
from tests.programs import until

from .conftest import NULL, ask, serving

pytestmark = pytest.mark.xdist_group("served")  # the server of a model is started once


def embeddings(url, **body):
    status, _, raw = ask(f"{url}/v1/embeddings", body)
    return status, json.loads(raw)


def test_both_apis_give_the_models_own_vectors_in_the_order_of_the_texts(tiny_served):
    folder, url = tiny_served
    texts = ["wing flow", "shock wave heat layer pressure", "drag"]
    own = Encoder.load(Arguments(platform="cpu", model_name=str(folder))).encode(texts)
    status, said = embeddings(url, model=folder.name, input=texts)
    assert status == 200 and [one["index"] for one in said["data"]] == [0, 1, 2]
    assert np.allclose([one["embedding"] for one in said["data"]], own, atol=1e-5)
    assert said["usage"]["prompt_tokens"] == sum(len(text.split()) + 2 for text in texts)
    _, said = embeddings(url, input=texts[0], encoding_format="base64")
    assert np.allclose(np.frombuffer(base64.b64decode(said["data"][0]["embedding"]), "<f4"), own[0], atol=1e-5)
    _, headers, raw = ask(f"{url}/embed", {"inputs": texts, "prompt_name": "passage"})
    assert np.allclose(json.loads(raw), own, atol=1e-5)
    times = {name: float(headers[f"x-{name}-time"]) for name in ("total", "tokenization", "queue", "inference")}
    assert times["inference"] > 0 and times["total"] >= times["tokenization"] + times["queue"] + times["inference"]
    _, said = embeddings(url, input=texts, dimensions=4)
    cut = own[:, :4] / np.linalg.norm(own[:, :4], axis=1, keepdims=True)
    assert np.allclose([one["embedding"] for one in said["data"]], cut, atol=1e-5)


def test_requests_that_come_together_are_answered_as_if_alone(tiny_served):
    _, url = tiny_served
    texts = [f"wing {'flow ' * place}" for place in range(24)]
    alone = [embeddings(url, input=text)[1]["data"][0]["embedding"] for text in texts]
    found = {}

    def one(text):
        found[text] = embeddings(url, input=text)[1]["data"][0]["embedding"]

    threads = [threading.Thread(target=one, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.allclose([found[text] for text in texts], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/embeddings", b"x{", 400, "no JSON"),
        ("/v1/embeddings", [1], 400, "no JSON object"),
        ("/v1/embeddings", {"input": []}, 400, "input is no text"),
        ("/v1/embeddings", {"model": "none"}, 400, "input is no text"),
        ("/embed", {"inputs": []}, 400, "inputs is no text"),
        ("/embed", {}, 400, "inputs is no text"),
        ("/v1/embeddings", {"input": [1, 2]}, 422, "token ids are not taken"),
        ("/v1/embeddings", {"input": "a", "model": "other"}, 404, "'other' is not served"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, 400, "float, base64"),
        ("/v1/embeddings", {"input": "a", "dimensions": 0}, 422, "dimensions 0"),
        ("/v1/embeddings", {"input": ["a"] * 257}, 422, "batch size 257 > maximum allowed batch size 256"),
        ("/v1/embeddings", {"input": "a" * 2_000_001}, 413, "2000000 bytes"),
        ("/embed", {"inputs": {"a": 1}}, 422, "inputs is no text"),
        ("/embed", {"inputs": ["a", None]}, 422, "inputs is no text"),
        ("/embed", {"inputs": ["a", "\ud800"]}, 422, "half of a surrogate pair"),
        ("/v1/embeddings", {"input": "wing \udfff"}, 422, "half of a surrogate pair"),
        ("/embed", {"inputs": "a", "prompt_name": "web"}, 422, "prompt_name"),
    ],
)
def test_what_is_refused_is_said_as_the_api_says_it(null, path, body, status, says):
    found, _, raw = ask(f"{null}{path}", body)
    said = json.loads(raw)
    message = said["error"]["message"] if path.startswith("/v1") else said["error"]
    assert (found, says in message) == (status, True), said
    assert "type" in said["error"] if path.startswith("/v1") else "error_type" in said


def test_what_no_answer_can_be_cut_to_is_refused_before_it_waits():
    with serving(*NULL, "--max_queue", "1") as (url, _):
        for path, key in (("/v1/embeddings", "input"), ("/embed", "inputs")):
            full = {key: ["a", "b"]}  # more than may wait
            assert [ask(f"{url}{path}", {**full, "dimensions": size})[0] for size in (1, 0, "x")] == [429, 422, 422]


def test_a_text_that_may_not_be_cut_is_refused(tiny_served):
    _, url = tiny_served
    long = "wing " * 63
    assert ask(f"{url}/embed", {"inputs": long})[0] == 200
    assert ask(f"{url}/embed", {"inputs": long, "truncate": False})[0] == 422
    assert ask(f"{url}/embed", {"inputs": "wing " * 62, "truncate": False})[0] == 200


def test_who_waits_for_the_tokenizer_is_in_the_queue(tiny_served, monkeypatch):
    encoder = Encoder.load(Arguments(platform="cpu", model_name=str(tiny_served[0])))
    quick = encoder.tokenise
    monkeypatch.setattr(encoder, "tokenise", lambda texts, role: time.sleep(0.05) or quick(texts, role))

    async def together():
        engine = EncoderEngine(encoder, 0.0, 100, 1000)
        running = asyncio.create_task(engine.run())
        found = await asyncio.gather(*(engine.answer(["wing"], "passage", cut=True) for _ in range(8)))
        running.cancel()
        return found

    *_, last = asyncio.run(together())
    assert last.queue > last.tokenise > 0


def test_a_long_text_lets_other_threads_run(tiny_served):
    encoder = Encoder.load(Arguments(platform="cpu", model_name=str(tiny_served[0])))
    text, turns = "wing " * 400_000, 0
    thread = threading.Thread(target=encoder.tokenise, args=([text],))
    thread.start()
    while thread.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 5


def test_the_null_server_says_the_versions_that_a_sweep_asks_for(null):
    assert "fmbench" in json.loads(ask(f"{null}/info")[2])["facts"]["packages"]  # those of its platform too


def test_it_says_what_it_serves_and_what_it_did(tiny_served):
    folder, url = tiny_served
    assert json.loads(ask(f"{url}/v1/models")[2])["data"][0]["id"] == folder.name
    info = json.loads(ask(f"{url}/info")[2])
    assert (info["model_id"], info["facts"]["platform"], info["max_input_length"]) == (folder.name, "cpu", 64)
    before = ask(f"{url}/metrics")[2].decode()
    embeddings(url, input=["wing", "flow"])

    def figure(text, name):
        return float(next(row for row in text.splitlines() if row.startswith(f"{name} ")).split()[-1])

    after = ask(f"{url}/metrics")[2].decode()
    assert figure(after, "te_embed_count") == figure(before, "te_embed_count") + 2
    assert figure(after, "te_request_duration_sum") > figure(before, "te_request_duration_sum")
    assert ask(f"{url}/health")[0] == 200


def test_it_says_what_only_the_graph_tells(tiny_served):
    pytest.importorskip("onnxruntime")
    with serving("--platform", "onnxruntime", "--threads", "1", "--model_name", tiny_served[0]) as (url, _):
        facts = json.loads(ask(f"{url}/info")[2])["facts"]
    assert facts["precision"] == "float32" and facts["onnxruntime_nodes"]


def test_a_full_queue_answers_429_and_sigterm_lets_those_finish_that_were_accepted():
    with serving(*NULL, "--service_time", "4s", "--max_queue", "2") as (url, process):
        found = []
        threads = [threading.Thread(target=lambda: found.append(embeddings(url, input="a")[0])) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: found)  # the third is refused at once
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert sorted(found) == [200, 200, 429]
        assert process.wait(120) == 143


def test_a_platform_that_turns_wrong_is_found_and_answers_nothing_more(tiny_served):
    words = ("--platform", "cpu", "--threads", "1", "--model_name", tiny_served[0])
    with serving(*words, faults=("--turns", 20)) as (url, process):
        texts, found = ["wing", "flow", "shock wave", "heat layer", "drag"], []
        until(lambda: found.append(embeddings(url, input=texts)) or found[-1][0] != 200)
        statuses = [status for status, _ in found]
        assert statuses[:100] == [200] * 100 and statuses[-1] == 500
        why = found[-1][1]["error"]["message"]
        assert "does not give each text its own vector: 'text " in why and ", computed once more, has " in why
        assert (embeddings(url, input="wing")[0], ask(f"{url}/embed", {"inputs": "wing"})[0]) == (500, 424)
        assert ask(f"{url}/health")[0] == 503 and ask(f"{url}/metrics")[0] == 200
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 3 and said.count("no request is answered any more") == 1


def test_what_was_computed_last_is_looked_at_in_the_end(tiny_served):
    served = ("--platform", "cpu", "--threads", "1", "--model_name", tiny_served[0])
    with serving(*served, faults=("--turns", 8)) as (url, process):
        assert [embeddings(url, input=["wing", "flow", "shock wave heat"])[0] for _ in range(30)] == [200] * 30
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 3 and "does not give each text its own vector" in said


def test_a_load_ends_with_what_its_service_found(tiny_served, load, monkeypatch, tmp_path):
    texts = ["wing", "flow", "shock wave", "heat layer", "drag", "pressure flow wing", "wave", "heat", "layer drag"]
    (tmp_path / "texts").write_text("\n".join(texts))
    fake = (sys.executable, "-m", "tests.fake_service", "--turns", "8", "--")
    monkeypatch.setattr(children, "python", lambda *words: [*fake, *words[3:]])
    words = (
        "--serve",
        "--platform cpu --threads 1",
        "--texts",
        tmp_path / "texts",
        "--requests",
        "30",
        "--warmup",
        "0",
    )
    code, found, said = load(*words, model=tiny_served[0])
    assert (code, found["LOAD"][0]["answered"]) == (3, 30) and "its platform gives wrong vectors" in said


def test_seconds_in_which_texts_were_computed_once_more_are_counted(tiny_served, load):
    words = ("--url", tiny_served[1], "--tokens", "uniform:3-9", "--concurrency", "4", "--warmup", "0")
    _, found, _ = load(*words, "--requests", "2500", model=tiny_served[0].name)
    assert found["LOAD"][0]["look_again_seconds"] > 0
    _, found, _ = load(*words, "--requests", "1", model=tiny_served[0].name)
    assert found["LOAD"][0]["look_again_seconds"] == 0


def test_a_port_is_taken_before_the_model_is_loaded():
    arguments = parse([*NULL, "--port", "0"])
    with listen(arguments) as first:
        taken = dataclasses.replace(arguments, port=first.getsockname()[1])
        with pytest.raises(UsageError, match="Address already in use; name another"), listen(taken):
            pass
    with listen(taken):
        pass


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--platform", "cpu", "--model_name", "none", "--service_time", "5ms"), "--service_time: cpu computes"),
        (("--platform", "null", "--model_name", "x", "--port", "70000"), "too large"),
        (("--platform", "cpu", "--model_name", "x", "--tokens_per_batch", "auto"), "give a number"),
        (("--platform", "null", "--model_name", "x", "--host", "a b"), "--host a b: no address"),
        (("--platform", "null", "--model_name", "x", "--host", "203.0.113.7", "--port", "0"), "name another"),
        (("--platform", "cpu", "--model_name", "/nowhere"), "/nowhere"),
    ],
)
def test_a_wrong_command_line_is_one_line(script, words, says):
    ran = script("fmbench", "serve", *words)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1) and says in ran.stderr
