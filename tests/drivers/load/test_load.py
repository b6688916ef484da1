"""The load generator, end to end against servers on loopback; the faulty ones are fakes."""

import datetime
import json
import random
import signal
import subprocess
import sys
import time

import pytest

from fmbench import lines
from fmbench.checks import check_command
from fmbench.drivers.load import client, endpoint, payload, processes
from fmbench.drivers.load.arguments import LoadArguments
from fmbench.drivers.load.endpoint import Endpoint
from fmbench.errors import FmbenchError, UsageError
from fmbench.process.workloads.load_fields import LOAD
from tests.programs import until

from .conftest import NULL, ask, counted, serving
from .strangers import TWO, Answers, Fewer, HangsUp, Locked, Refuses, Rejects, Stalls, Stops, Stranger, Talks, stranger

SHORT = ("--tokens", "16", "--warmup", "0")


@pytest.mark.parametrize("processes", [1, 2])
def test_every_request_is_sent_once_and_stands_in_the_log_once(load, null, processes):
    before = counted(null)
    code, found, err = load("--url", null, *SHORT, "--requests", 2500, "--concurrency", 7, "--processes", processes)
    (said,) = found["LOAD"]
    assert (code, said["requests"], said["answered"], said["failed"]) == (0, 2500, 2500, 0), err
    assert counted(null) - before == 2500 + 1  # and the one that asks what comes
    assert [line["first"] for line in found["REQ"]] == [0, 1000, 2000]
    assert sum(len(line["latency_us"]) for line in found["REQ"]) == 2500
    assert 0 < said["latency_ms"]["p50"] <= said["latency_ms"]["p99"] <= said["max_ms"]
    assert said["tokens"] == 2500 * 14  # the null server counts words, and a made-up text leaves room for two tokens
    assert said["parts_ms"].keys() == {"connect", "send", "wait", "receive"} and said["server_ms"]["total"] > 0
    (verdict,) = found["VEC"]
    assert (verdict["verdict"], verdict["vectors"], verdict["faults"]) == ("consistent", 2500, {})
    assert "closed 7" in err  # the table for people


def test_a_run_starts_when_the_last_of_its_processes_is_ready(null, monkeypatch):
    begun, slow = time.monotonic(), 0.5
    monkeypatch.setattr(client.gc, "collect", lambda: time.sleep(slow))
    plan = client.Plan(f"{null}/v1/embeddings", [b"{}"], 1, lambda raw: 1, 0.0, 30, 1, 0, due=[0.0, 0.01])
    records, _ = processes.run(plan, 2, lambda seconds: None)
    assert len(records.table()) == 2 and records.start / 1e9 >= begun + slow


def test_open_arrivals_are_due_at_the_rate_whatever_comes_back(load):
    with serving(*NULL, "--service_time", "20ms") as (url, _):
        words = ("--scenario", "open", "--rate", 100, "--arrivals", "constant", "--duration", "1s")
        _, found, _ = load("--url", url, *SHORT, *words)
    (said,), (requests,) = found["LOAD"], found["REQ"]
    assert said["requests"] == 100 and requests["due_us"] == [10_000 * place for place in range(100)]
    # Twice what it can: each waits ten milliseconds longer than the one before, from when it was due, or more.
    assert requests["latency_us"][99] >= 900_000
    assert said["server_ms"]["queue"] > 300  # the mean is 495


def test_a_stall_is_in_every_latency_that_it_touched(load):
    with serving(*NULL, faults=("--stall_at", 100, "--stall", 1.0)) as (url, _):
        words = ("--scenario", "open", "--rate", 200, "--arrivals", "constant", "--duration", "2s")
        _, found, _ = load("--url", url, *SHORT, *words)
    (said,) = found["LOAD"]
    touched = sum(taken > 100_000 for line in found["REQ"] for taken in line["latency_us"])
    assert said["max_ms"] >= 1000 and said["latency_ms"]["p99"] >= 900
    assert touched >= 170  # of those due within the second, those that waited longer than a tenth of it


def test_what_fails_is_counted_by_its_status_and_body_and_is_above_every_percentile(load):
    with serving(*NULL, "--service_time", "50ms", "--max_queue", "2") as (url, _):
        code, found, err = load("--url", url, *SHORT, "--concurrency", 6, "--duration", "1s")
    (said,) = found["LOAD"]
    assert code == 0 and said["failed"] > said["answered"] > 0
    assert said["errors"] == [{"status": 429, "said": "Model is overloaded", "count": said["failed"]}]
    assert "p99" not in said["latency_ms"] and "p50" not in said["latency_ms"]
    assert "requests failed: 429, Model is overloaded" in err


def test_a_server_that_dies_ends_the_run_with_what_it_had(load):
    with serving(*NULL, faults=("--die", 300)) as (url, _):
        code, found, err = load("--url", url, *SHORT, "--concurrency", 4, "--requests", 100_000)
    (said,) = found["LOAD"]
    assert (code, said["ended"]) == (1, "gone") and 290 <= said["answered"] < 300
    assert said["unsent"] > 99_000
    assert {one["status"] for one in said["errors"]} == {None} and "nobody answers any more" in err


@pytest.mark.parametrize(("requests", "ended"), [(312, "gone"), (299, "gone"), (298, "done")])
def test_a_server_that_dies_near_the_end_ends_the_run_too(load, requests, ended):
    with serving(*NULL, "--max_queue", "6", faults=("--die", 300)) as (url, _):
        code, found, err = load("--url", url, *SHORT, "--concurrency", 4, "--requests", requests)
    (said,) = found["LOAD"]
    assert (code, said["ended"], said["requests"]) == (int(ended == "gone"), ended, requests), said
    assert ("nobody answers any more" in err) == (ended == "gone")


@pytest.mark.parametrize("words", [(), ("--scenario", "open", "--rate", 100, "--arrivals", "constant")])
def test_a_service_that_hangs_up_and_still_listens_did_not_go_away(load, words, monkeypatch):
    monkeypatch.setattr(client, "DEAD", 10)
    with stranger(HangsUp) as url:
        _, found, err = load("--url", url, *SHORT, "--requests", 30, "--inputs_per_request", 2, *words)
    (said,) = found["LOAD"]
    assert (said["ended"], said["requests"]) == ("done", 30) and said["answered"] >= 5 and said["failed"] >= 20, err
    assert "nobody answers" not in err
    assert {one["status"] for one in said["errors"]} == {None}


@pytest.mark.parametrize(("service", "ended", "failed"), [(Stalls, "done", 1), (Stops, "gone", 2)])
def test_one_time_out_is_a_failure_and_a_service_that_answers_nobody_is_gone(load, service, ended, failed):
    with stranger(service) as url:
        words = ("--requests", 20, "--inputs_per_request", 2, "--scenario", "single", "--timeout", "5s")
        _, found, err = load("--url", url, *SHORT, *words)
    (said,) = found["LOAD"]
    assert (said["ended"], said["failed"], " of 20 requests were answered" in err) == (
        ended,
        failed,
        ended == "gone",
    ), err
    assert said["requests"] + said.get("unsent", 0) == 20


def test_made_up_texts_are_no_more_than_are_sent_or_fit():
    draw = random.Random(0)
    assert len(payload.made_up_texts(lambda _: 5, 12, 3, draw)) == 12
    assert len(payload.made_up_texts(lambda _: payload.MOST_TOKENS // 2, 12, 3, draw)) == 3
    asked = LoadArguments(model_name="none", given=(), tokens="4000", requests=3)
    assert len(payload.requests_of(asked, 1, ())[0]) == 3


def test_a_time_out_is_a_failure(load):
    with serving(*NULL, "--service_time", "600ms") as (url, _):
        words = ("--scenario", "open", "--rate", 5, "--arrivals", "constant", "--duration", "1s", "--timeout", "1.5s")
        _, found, _ = load("--url", url, *SHORT, *words)
    (said,) = found["LOAD"]
    assert said["errors"] == [{"status": None, "said": "timeout", "count": said["failed"]}] and said["failed"] >= 2


def test_ctrl_c_leaves_what_was_measured(null):
    command = [sys.executable, "-m", "fmbench", "load", "--url", null, "--model_name", "none", *SHORT]
    before = counted(null)
    with subprocess.Popen([*command, "--duration", "300s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: counted(null) - before > 100)  # one at a time
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    found = [line for row in out.decode().splitlines() if (line := lines.parse_line(row))]
    (said,) = (line.data for line in found if line.kind == "LOAD")
    assert process.returncode == 130 and said["ended"] == "interrupted" and said["answered"] > 0, err
    assert sum(len(line.data["latency_us"]) for line in found if line.kind == "REQ") == said["requests"]


def test_a_certificate_that_nobody_vouches_for_is_one_line(load, tmp_path):
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "both.pem"
    path.write_bytes(key.private_bytes(*form) + made.sign(key, hashes.SHA256()).public_bytes(form[0]))
    with stranger(Talks, path) as safe:
        code, found, err = load("--url", safe, *SHORT)
    assert (code, found, err.count("\n")) == (2, {}, 1) and "self-signed certificate" in err and "SSL_CERT_FILE" in err


def test_a_trace_is_replayed(load, null, tmp_path):
    rows = [{"time": -0.1, "tokens": 5}, {"time": 0.0, "text": "wing"}, {"time": 0.3, "tokens": 50}]
    (tmp_path / "trace").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, found, _ = load("--url", null, "--scenario", "trace", "--trace", tmp_path / "trace", "--warmup", "0")
    (said,), (requests,) = found["LOAD"], found["REQ"]
    assert requests["due_us"] == pytest.approx([0, 100_000, 400_000], abs=1) and said["tokens"] == 3 + 1 + 48


def test_it_starts_what_it_measures_and_ends_it(load):
    code, found, err = load("--serve", "--platform null", *SHORT, "--requests", 50, "--api", "tei")
    env = {key: value for line in found["ENV"] for key, value in line.items()}
    assert (code, env["platform"], env["client"]["api"]) == (0, "null", "tei")
    assert found["LOAD"][0]["answered"] == 50 and "starts fmbench serve" in err
    assert "interrupted" not in err


def test_the_key_goes_to_the_service_and_nowhere_else(load, monkeypatch):
    seen = []

    class Handler(Stranger):
        def answer(self):
            seen.append(self.headers.get("Authorization"))
            if self.path == "/v1/models":
                return 200, b'{"data": [{"id": "none"}]}'
            if self.path == "/info":
                return 404, b""
            return 200, json.dumps({"data": [{"index": 0, "embedding": [1.0, len(seen)]}]}).encode()

    monkeypatch.setenv("FMBENCH_API_KEY", "very-private-7")
    with stranger(Handler) as url:
        code, _, err = load("--url", url, *SHORT, "--requests", 3, "--encoding", "float")
    assert code == 0 and set(seen) == {"Bearer very-private-7"}
    assert "very-private" not in load.printed + err


@pytest.mark.parametrize("place", ["/info and /v1/models", "/v1/embeddings", "/v1/embeddings, later", "/metrics"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_no_redirect_is_followed_and_no_other_host_sees_the_key(load, monkeypatch, place, status):
    seen = []

    class Other(Stranger):
        def answer(self):
            seen.append(self.headers.get("Authorization"))
            return 200, b"{}"

    class Handler(Answers):
        later = 200, TWO

        def answer(self):
            found = super().answer()
            later = getattr(self.server, "asked", 0) > 1
            moved = self.path in place and (later or "later" not in place)
            return (status, f"{other}{self.path}?sig=very-private-8") if moved else found

    monkeypatch.setenv("FMBENCH_API_KEY", "very-private-7")
    with stranger(Other) as other, stranger(Handler) as url:
        code, found, err = load("--url", url, *SHORT, "--requests", 3, "--inputs_per_request", 2)
    assert seen == [] and "very-private" not in load.printed + err
    if place == "/metrics":
        assert found["LOAD"][0]["answered"] == 3
        return
    assert f"{status} to {other}/" in err and "--url names the address" in err
    assert code == (1 if "later" in place else 2) and bool(found) == ("later" in place)


@pytest.mark.parametrize(
    ("handler", "status", "says"),
    [(Answers, 200, "out of memory"), (Fewer, 200, "1 vectors for 2 texts"), (Rejects, 422, "too long")],
)
def test_an_answer_without_its_vectors_is_a_failure(load, handler, status, says):
    with stranger(handler) as url:
        words = ("--inputs_per_request", 2, "--requests", 20, "--concurrency", 2)
        code, found, err = load("--url", url, *SHORT, *words)
    (said,) = found["LOAD"]
    assert (code, said["answered"], said["texts_per_second"], said["ended"]) == (1, 0, 0, "done")
    assert said["errors"] == [{"status": status, "said": says, "count": 20}]
    assert f"refused: {status} {says}; 0 of 20 requests were answered" in err and "nobody" not in err


@pytest.mark.parametrize("usage", [{"prompt_tokens": -5}, {"prompt_tokens": True}, {"prompt_tokens": "9"}, "nine", [9]])
def test_a_count_of_tokens_that_is_none_is_missing(load, usage):
    class Miscounts(Answers):
        later = 200, json.dumps({**json.loads(TWO), "usage": usage}).encode()

    with stranger(Miscounts) as url:
        _, found, err = load("--url", url, *SHORT, "--inputs_per_request", 2, "--requests", 9, "--concurrency", "1,2")
    assert [(said["answered"], said["tokens"], said["tokens_per_second"]) for said in found["LOAD"]] == [
        (9, None, None)
    ] * 2
    assert all("unreadable" not in said["faults"] for said in found["VEC"])
    assert err.count("is no count of tokens") == 1 and not any(LOAD.refuse(dict(said)) for said in found["LOAD"])


@pytest.mark.parametrize("api", ["openai", "tei"])
@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_vectors_are_counted_without_decoding(null, api, encoding):
    service = Endpoint(base=null, api=api, model="none", encoding=encoding)
    for count in (1, 3):
        raw = ask(service.url, service.body(["wing"] * count))[2]
        assert service.count(raw) == service.count(json.dumps(json.loads(raw), indent=1).encode()) == count
    assert service.count(b'{"error": "embedding"}') == service.count(b"[]") == 0


@pytest.mark.parametrize("key", ["sek\nret", "sek\u20acret"])
def test_a_key_that_no_header_holds_is_refused_and_not_shown(load, null, monkeypatch, key):
    monkeypatch.setenv("FMBENCH_API_KEY", key)
    code, found, err = load("--url", null, *SHORT)
    assert (code, found, err.count("\n")) == (2, {}, 1) and "FMBENCH_API_KEY: holds" in err and "sek" not in err


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (Stranger, "another service: it answers neither /info as TEI does nor /v1/models"),
        (Talks, "its answer holds no vectors"),
        (Refuses, "a first request was refused: 401"),
        (Locked, '/info was refused: 401 {"error": "who?"}; set FMBENCH_API_KEY'),
    ],
)
def test_another_service_is_one_line(load, handler, says):
    with stranger(handler) as url:
        code, found, err = load("--url", url, *SHORT)
    assert (code, found, err.count("\n")) == (2, {}, 1) and says in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--url", "http://127.0.0.1:9", "--tokens", "8"), "nobody answers"),
        (("--url", "ftp://x", "--tokens", "8"), "no address"),
        (("--url", "http://127.0.0.1:99999", "--tokens", "8"), "no address"),
        (("--url", "http://me:secret@x", "--tokens", "8"), "FMBENCH_API_KEY alone"),
        (("--url", "http://x", "--serve", "--platform null", "--tokens", "8"), "one of the two"),
        (("--tokens", "8"), "--url"),
        (("--url", "http://x"), "name what is sent"),
        (("--url", "http://x", "--tokens", "2"), "--tokens 2: write a number"),
        (("--url", "http://x", "--tokens", "uniform:9-3"), "--tokens uniform:9-3"),
        (("--url", "http://x", "--tokens", "8", "--scenario", "open"), "needs --rate"),
        (("--url", "http://x", "--tokens", "8", "--scenario", "open", "--rate", "0"), "not above zero"),
        (("--url", "http://x", "--tokens", "8", "--scenario", "open", "--rate", "1e9"), "send 20,000 a second at most"),
        (("--url", "http://x", "--tokens", "8", "--rate", "5"), "--rate goes with --scenario open"),
        (("--url", "http://x", "--tokens", "8", "--scenario", "slo"), "needs --slo"),
        (("--url", "http://x", "--tokens", "8", "--least_cosine", "2"), "2 is no cosine between 0 and 1"),
        (("--url", "http://x", "--texts", "/nowhere"), "/nowhere: no such file"),
        (("--url", "http://x", "--tokens", "8", "--reference", "/nowhere"), "--reference: no model folder at /nowhere"),
        (("--serve", "--platform nope", "--tokens", "8"), "did not come up"),
    ],
)
def test_a_wrong_command_line_is_one_line(load, words, says):
    code, found, err = load(*words)
    said = [row for row in err.splitlines() if row.startswith("fmbench load: error")]
    assert (code, found, len(said)) == (2, {}, 1) and says in said[0]


def test_a_cell_of_a_sweep_starts_its_service():
    words = ("--model_name", "m", "--tokens", "8")
    assert check_command("load", (*words, "--serve", "--threads 1 --platform null")).platform.name == "null"
    for service, says in (("--url", "--serve"), ("--serve", "required: --platform")):
        with pytest.raises(UsageError, match=says):
            check_command("load", (*words, service, "http://x"))


def test_a_service_that_does_not_answer_is_one_line(load, monkeypatch):
    class Silent(Stranger):
        def answer(self):
            time.sleep(600)

    monkeypatch.setattr(endpoint, "PATIENCE", 0.2)
    with stranger(Silent) as url:
        code, found, err = load("--url", url, *SHORT)
    assert (code, found, err.count("\n")) == (2, {}, 1) and "nobody answers (not within 0.2 s)" in err


def test_a_client_process_that_is_not_ready_in_time_is_said(null, monkeypatch):
    real = processes.send
    monkeypatch.setattr(processes, "TO_START", 0.3)
    monkeypatch.setattr(processes, "send", lambda plan, ready: (plan.first and time.sleep(3)) or real(plan, ready))
    plan = client.Plan(f"{null}/v1/embeddings", [b"{}"], 1, lambda raw: 1, 0.0, 30, 1, 0, due=[0.0, 0.01])
    with pytest.raises(FmbenchError, match=r"a client process failed: another one was not ready within 0.3 s"):
        processes.run(plan, 2, lambda seconds: None)


def test_a_model_that_is_not_served_is_named(load, null):
    code, _, err = load("--url", null, *SHORT, model="other")
    assert code == 2 and "--model_name other: not served there, but none" in err


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{}", "line 1: write"),
        ("[1]", "line 1: is a JSON array"),
        ('{"time": 1, "tokens": 5}\n{"time": 0, "tokens": 5}', "before that of the line above"),
        ('{"time": 1, "tokens": 2}', "from 3 to"),
        ('{"time": 1, "tokens": 5.5}', "line 1: write"),
        ('{"time": 1, "tokens": 5, "text": "wing"}', "line 1: write"),
        ('{"time": 1, "text": " "}', "line 1: write"),
        ('{"time": 1, "text": "\\ud800"}', "half of a surrogate pair"),
        (f'{{"time": 1{"0" * 400}, "tokens": 5}}', "line 1: write"),
    ],
)
def test_a_damaged_trace_names_its_line(load, null, tmp_path, row, says):
    (tmp_path / "trace").write_text(row)
    code, _, err = load("--url", null, "--scenario", "trace", "--trace", tmp_path / "trace")
    assert code == 2 and says in err
