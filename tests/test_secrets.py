"""What is a secret, what is none, and that no way out of the programs says one."""

import json
import shlex
import stat
from pathlib import Path

import pytest

from fmbench import secrets
from fmbench.command_line import CommandLine
from fmbench.drivers.embed import main as driver
from fmbench.drivers.fidelity.capture import main as capture
from fmbench.drivers.fidelity.compare import main as compare
from fmbench.drivers.retrieve.cli import main as retrieve
from fmbench.facts import variables
from fmbench.lines import JsonLine, Res
from fmbench.options import parse_arguments
from fmbench.process.cli import main as process
from fmbench.process.store.cli import main as results
from fmbench.secrets import hidden, is_secret, masked, masked_message, masked_text, sealed
from fmbench.session import LogWriter

S = "Zq7Lw0pX9vT4"  # what must not be seen; forms of known tokens hold it, or are listed below
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.Zq7Lw0pX9vT4"
# Name of an argument, and a value that holds a secret.
SECRET = [
    ("model:token", S), ("model:token@", f"'{S}'"), ("model:use_auth_token", S), ("model:hf_token", S),
    ("model:hfToken", S), ("model:api_key", S), ("model:api-key", S), ("model:apiKey", S), ("model:APIKey", S),
    ("model:apikey", S), ("platform:access_key", S), ("platform:hf_key", S), ("platform:secret_access_key", S),
    ("platform:accessKeyId", S), ("platform:key", S), ("platform:private_key", S), ("platform:password", S),
    ("platform:Password", S), ("platform:passwd", S), ("platform:pwd", S), ("platform:db_pwd", S),
    ("platform:passphrase", S), ("platform:secret", S), ("platform:client_secret", S), ("platform:credential", S),
    ("platform:credentials", S), ("platform:auth", S), ("platform:auth_header", S), ("platform:authorization", S),
    ("platform:bearer", S), ("platform:cookie", S), ("platform:signature", S), ("platform:sig", S),
    ("platform:token:value", S), ("platform:headers:Authorization", S), ("platform:headers:X-Api-Key", S),
    ("platform:headers@", f"{{'Authorization': 'Bearer {S}'}}"), ("platform:headers@", f'{{"X-Auth-Token": "{S}"}}'),
    ("platform:headers@", f"{{'Cookie': 'session={S}'}}"), ("platform:headers@", f"[('X-Api-Key', '{S}')]"),
    ("platform:options@", f"dict(token='{S}', x=1)"), ("platform:options@", f"{{'a': {{'password': '{S}'}}}}"),
    ("platform:header", f"Authorization: Bearer {S}"), ("platform:header", f"X-Api-Key: {S}"),
    ("platform:header", f"Bearer {S}"), ("platform:header", "Basic Ym9iOlpxN0x3MHBYOXZUNA=="),
    ("platform:url", f"https://bob:{S}@host/x"), ("platform:url", f"https://{S}@host/x"),
    ("platform:url", f"https://host/x?token={S}&a=1"), ("platform:url", f"https://host/x?a=1&sig={S}"),
    ("platform:url", f"https://host/x?X-Amz-Signature={S}"), ("platform:url", f"https://host/x?access_token={S}"),
    ("platform:connection", f"AccountName=x;AccountKey={S};Suffix=y"), ("platform:other", f"password={S}"),
    ("model:revision", f"hf_{S}{S}"), ("model:revision", f"ghp_{S}{S}"), ("model:revision", f"github_pat_{S}{S}"),
    ("model:revision", f"gho_{S}{S}"), ("model:revision", f"sk-{S}{S}"), ("model:revision", f"sk-proj-{S}"),
    ("model:revision", f"sk-ant-api03-{S}"), ("model:revision", "AKIAZQ7LW0PX9VT4EXAM"),
    ("model:revision", "ASIAZQ7LW0PX9VT4EXAM"), ("model:revision", f"xoxb-12345-{S}"),
    ("model:revision", f"AIza{S}{S}"), ("model:revision", f"glpat-{S}"), ("model:revision", f"npm_{S}{S}"),
    ("model:revision", JWT), ("platform:pem", f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----"),
]  # fmt: skip
SEEN = (S, "AKIAZQ7", "ASIAZQ7", "Ym9iOlpx", "eyJhbGci")
HARMLESS = [
    ("tokens_per_batch", "4096"), ("max_tokens", "512"), ("model:pad_token_id", "0"), ("model:pad_token", "[PAD]"),
    ("model:bos_token", "<s>"), ("model:eosToken", "</s>"), ("model:cls_token", "[CLS]"), ("author", "bob"),
    ("model:tokenizer", "bert"), ("model:tokenizer_class", "BertTokenizer"), ("model:key_length", "long"),
    ("model:monkey", "patch"), ("model:keyboard", "qwerty"), ("model:keys", "a,b"), ("model:num_key_value_heads", "8"),
    ("model:public_key", "x"), ("model:cache_key", "x"), ("model:sort_key", "x"), ("model:token", "True"),
    ("model:token@", "None"), ("model:token", "12"), ("model:use_auth_token@", "False"), ("model:password", ""),
    ("model:authority", "x"), ("model:compass", "north"), ("model:bypass", "x"), ("model:secretary", "bob"),
    ("model:cookies_policy", "lax"), ("model:signatures", "x"), ("model:design", "x"), ("model:token_type", "bpe"),
    ("model:tokens", "x"), ("model:passage", "x"), ("model:forward_pass", "x"), ("model:design_signature_length", "x"),
    ("model:modules@", "['query', 'key', 'value']"), ("model_name", "sk-learn-contrib/model"),
    ("model_name", "org/hf_transfer_model"), ("model_name", "BAAI/bge-small-en-v1.5"),
    ("model:revision", "a3f5c1d2e4b6a7980123456789abcdef01234567"), ("model:url", "https://host/x?batch=4&monkey=1"),
    ("model:text", "Basic settings of the token: a key word"), ("compile:options@", "{'max_autotune': True}"),
    ("model:x", "s3://bucket/a@b"), ("model:task", "task-something-long-2024-x"), ("model:y", "bearer tokens"),
]  # fmt: skip
NULL = ["--platform", "null", "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1", "--reps", "2"]


def clean(text: str) -> bool:
    return not any(seen in text for seen in SEEN)


@pytest.mark.parametrize(("name", "value"), SECRET)
def test_a_secret_is_masked(name: str, value: str) -> None:
    assert clean(masked(name, value)) and clean(masked(name, value, sealed))
    typed = f"--threads 2 --{name} {json.dumps(value) if ' ' in value else value} --eval"
    assert clean(masked_text(typed)) and masked_text(typed).endswith("--eval")
    other = value.replace("Zq7Lw0pX9vT4", "Zq7Lw0pX9vT5").replace("ZQ7", "ZQ8").replace("Ym9iOlpxN0x3", "Ym9iOlpxN0x4")
    assert masked(name, value, sealed) == masked(name, value, sealed) != masked(name, other, sealed)


@pytest.mark.parametrize(("name", "value"), HARMLESS)
def test_what_is_no_secret_stays(name: str, value: str) -> None:
    assert masked(name, value) == value
    assert masked_text(f"--{name} {value}") == f"--{name} {value}"
    assert masked_message(f"--{name}: {value!r} is wrong") == f"--{name}: {value!r} is wrong"


@pytest.mark.parametrize("key", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "x-amz-credential"])
def test_names_of_variables_and_parameters(key: str) -> None:
    assert is_secret(key)


def test_masking_twice_changes_nothing() -> None:
    for name, value in SECRET:
        once = masked(name, value, sealed)
        assert masked_message(once) == once
        assert masked_message(f"--{name} {once}: given twice") == f"--{name} {once}: given twice"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known from another test."""
    monkeypatch.setattr(secrets, "_typed", set())


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("form", ["{}", "--model:token={} x", "'{}'", "https://host/a/{}/b", "(401) {}: no"])
def test_what_was_typed_is_masked_wherever_it_turns_up(form: str) -> None:
    CommandLine.parse(["--vs", "--model:token 'plain words'", "--platform:key=tiny"], ())
    for secret in ("plain words", "tiny"):
        assert secret not in masked_message(form.format(secret))
    assert masked_message("tinyness and plain") == "tinyness and plain"


@pytest.mark.usefixtures("forgetful")
def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "notlikeanytoken")
    monkeypatch.setenv("TORCH_HUB_TOKEN", "anotherone")
    assert masked_message("401 for notlikeanytoken") == "401 for ***"
    assert variables()["TORCH_HUB_TOKEN"] == sealed("anotherone")


def test_a_log_says_no_secret_that_a_library_or_a_name_brings(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    log = LogWriter(sys.stdout)
    log.write(JsonLine("ERR", {"message": f"401 for https://h/x?token={S}", "where": [f"Bearer {S}"], "n": 1}))
    log.write(Res(0, 1, f"https://bob:{S}@host/m", "C", 1, 1, 1.0, 1.0))
    said = capsys.readouterr().out
    assert clean(said) and '"n": 1' in said and "https://***@host/m" in said


# All in one command line, each under a key of its own; the null platform takes any option of a model, and no other.
PAIRS = [(f"--{name.replace(':', f':n{place}:', 1)}", value) for place, (name, value) in enumerate(SECRET)]
MANY = [f"{name}={value}" for name, value in PAIRS]
MODEL = [word.replace("--platform:", "--model:") for word in MANY]
APART = [part for name, value in PAIRS[:-1] for part in (name, value)]  # not the PEM block, which begins with dashes
TEXT = ["evaluate", "--platform", "null", "--model_name", "m", "--dataset", "no-such"]
RUNS = {
    "measured": (0, lambda path: driver([*NULL, *MODEL])),
    "apart": (0, lambda path: driver([*NULL, *(word.replace("--platform:", "--model:") for word in APART)])),
    "isolate": (0, lambda path: driver([*NULL, *MODEL, "--isolate"])),
    "vs": (0, lambda path: driver([*NULL, "--vs", shlex.join(MODEL), "--vs", shlex.join(MODEL)])),
    "platform": (2, lambda path: driver([*NULL, *MANY])),
    "quote": (2, lambda path: driver([*NULL, "--vs", " ".join(APART) + " '"])),
    "stray": (2, lambda path: driver([*NULL, "--vs", f"{shlex.join(MODEL)} stray"])),
    "expression": (2, lambda path: driver([*NULL, "--model:token@", f"'{S}' +", "--model:headers@", f"['Bearer {S}'"])),
    "number": (2, lambda path: driver([*NULL, "--threads", f"hf_{S}", *MODEL])),
    "twice": (2, lambda path: driver([*NULL, *MODEL, *MODEL])),
    "unknown": (2, lambda path: driver([*NULL, *(word.replace(":", "_", 2) for word in MANY)])),
    "fresh": (0, lambda path: driver([*NULL, *MODEL, "--resume", str(path / "new.log")])),
    "resume": (2, lambda path: driver([*NULL, *MODEL, "--resume", str(path / "run.log")])),
    "recall": (2, lambda path: driver([*MODEL, "--resume", str(path / "run.log")])),
    "retrieve": (2, lambda path: retrieve([*TEXT, *MODEL])),
    "retrieve-unknown": (2, lambda path: retrieve([*TEXT, *(word.replace(":", "_", 2) for word in MANY)])),
    "capture": (2, lambda path: capture(["--platform", "null", "--model_name", "m", "--out", str(path / "c"), *MODEL])),
    "compare": (2, lambda path: compare([f"s3://bob:{S}@bucket/x?sig={S}", f"https://h/?token={S}"])),
    "process": (2, lambda path: process(["--path", f"https://bob:{S}@h/x", "--token", S])),
    "store": (2, lambda path: results(["list", "--store", f"memory://bob:{S}@bucket/x?sig={S}"])),
}


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "isolate")) for name in RUNS])
@pytest.mark.parametrize("debug", ["", "1"])
def test_no_way_out_says_a_secret(name: str, debug: str, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("FMBENCH_DEBUG", debug)
    if name in ("resume", "recall"):
        assert driver([*NULL, "--resume", str(tmp_path / "run.log"), "--model:token", "other"]) == 0
    code, run = RUNS[name]
    assert run(tmp_path) == code
    captured = capfd.readouterr()
    said = captured.out + captured.err + "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert said and not [line for line in said.splitlines() if not clean(line)]


def test_a_measured_run_resumes_with_its_secrets_alone(tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.log"
    words = [*NULL, "--model:token", S, "--model:url", f"https://h/?sig={S}", "--vs", f"--model:key {S}"]
    words += ["--resume", str(path)]
    assert driver(words) == 0
    assert clean(path.read_text()) and "FMWORK ARG --model:token ***(k:" in path.read_text()
    assert driver(words) == 0 and "holds 1 of 1 shapes" in capsys.readouterr().err
    for place in range(len(NULL), len(words)):
        if S in words[place]:
            other = [word.replace(S, f"{S}5") if at == place else word for at, word in enumerate(words)]
            assert driver(other) == 2
            said = capsys.readouterr().err
            assert "measured under another fingerprint" in said and clean(said)


def test_harmless_numbers_are_compared(tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.log"
    words = [*NULL, "--resume", str(path), "--model:max_tokens"]
    assert driver([*words, "512"]) == 0 and driver([*words, "1024"]) == 2
    assert "model:max_tokens: 512 then, 1024 now" in capsys.readouterr().err


def test_a_log_that_cannot_tell_secrets_apart_is_not_resumed(tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.log"
    words = [*NULL, "--resume", str(path), "--model:token", S]
    assert driver(words) == 0
    digest = sealed(S)
    path.write_text(path.read_text().replace(digest, "***"))
    for again in (words, ["--resume", str(path), "--model:token", S]):
        assert driver(again) == 2
        said = capsys.readouterr().err
        assert "secrets in --model:token: the log does not tell them" in said


def test_without_a_key_nothing_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "run.log"
    words = [*NULL, "--resume", str(path), "--model:token", S]
    assert driver(words) == 0
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert sealed(S) == "***" and secrets.apart(S) != secrets.apart(S)
    assert driver(words) == 2
    assert "fmbench/secrets.key, whose key tells them from others, cannot be kept" in capsys.readouterr().err


def test_the_key_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    one = sealed("a")
    path = tmp_path / "fmbench" / "secrets.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and [*path.parent.iterdir()] == [path]
    assert sealed("a") == one != sealed("b")
    path.chmod(0o644)
    assert sealed("a") == "***"
    path.unlink()
    assert sealed("a") != one


def test_no_digest_of_a_model_follows_from_a_secret(tiny_root: Path) -> None:
    from fmbench.identity import identify
    from fmbench.source import locate

    def digest(secret: str) -> str | None:
        named = [*NULL[:2], "--model_name", "tiny", "--model_root", str(tiny_root), *NULL[4:], "--weights", "random"]
        arguments = parse_arguments([*named, "--model:api_key", secret])
        return identify(locate(arguments), arguments).digest

    assert digest(S) == digest("guess")


def test_display_keeps_no_digest() -> None:
    assert masked("model:token", S, hidden) == "***"
