"""Keeping tokens and passwords out of what is printed: a log is published.

What is a secret is told by how it looks (the prefixes of known tokens, the user part of an address) and by the words of
the key that it stands under. Numbers and truth values are none. Where equal secrets have to be told from others, as in
a log that a run goes on with, the mask holds a digest under a key that this user alone has: whoever has the log alone
cannot try passwords against it.
"""

import base64
import binascii
import contextlib
import functools
import hashlib
import hmac
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

MASK = "***"
MASKED = re.compile(r"\*\*\*(\(k:[0-9a-f]{12}\))?")
UNTOLD = re.compile(r"\*\*\*(?!\(k:)")  # a mask that holds no digest
KEY_BYTES = 32
Hide = Callable[[str], str]

# The words of a key. A strong one makes it a secret's, unless the last word says that it is only about one; a weak one
# has to be what the key names (`access_key`, no `key_length`), and of another kind than what models call so.
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
STRONG = {
    "secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase", "passcode", "credential",
    "credentials", "authorization", "bearer", "cookie", "cookies", "apikey", "accesskey", "secretkey", "privatekey",
    "accountkey", "authtoken", "accesstoken", "hftoken", "apitoken", "oauth", "jwt",
}  # fmt: skip
WEAK = {"token", "key", "auth", "signature"}
ALONE = {"pass", "sig"}  # a whole key, but a part of other words
OF_API = {"api", "access", "auth", "secret", "private", "session", "refresh", "hf"}  # secrets in the plural as well
ABOUT = {
    "length", "len", "size", "count", "file", "path", "dir", "folder", "name", "type", "kind", "policy", "provider",
    "format", "prompt", "required", "ttl", "timeout", "expiry", "store", "backend", "helper", "mode", "version",
}  # fmt: skip
SAME = {"value", "values", "string", "text", "header", "headers", "json", "b", "base", "raw", "hex", "bytes"}
OF_MODELS = {
    "token": {
        "pad", "bos", "eos", "unk", "sep", "cls", "mask", "special", "image", "audio", "video", "start", "end", "begin",
        "first", "last", "next", "new", "stop", "per", "each", "by", "max", "min", "num", "query", "passage",
        "document", "class", "boundary", "prefix", "suffix", "prompt",
    },
    "key": {
        "public", "primary", "foreign", "sort", "partition", "cache", "group", "index", "map", "dict", "row", "label",
        "text", "query", "id", "by", "order", "metric", "metadata", "column", "lookup", "join", "config", "attention",
        "attn", "per", "num", "hot",
    },
    "signature": {"model", "function", "method", "call", "type"},
    "auth": {"no", "without"},
}  # fmt: skip
HARMLESS = re.compile(r"[+-]?[\d_]*\.?\d*(e[+-]?\d+)?|true|false|none|null", re.IGNORECASE)

# What a secret looks like, wherever it stands.
LOOKS = [
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [^-]+-----[\s\S]*?(?:-----END [^-]+-----|\Z)",
        r"""(?<=://)[^/\s'"?#]+(?=@)""",  # user:password@ of an address
        r"\beyJ[\w-]{8,}(?:\.[\w-]+){1,2}",  # a JSON web token
        r"(?<![A-Za-z0-9])hf_(?!config|transform|repositor)(?=[A-Za-z]*[A-Z0-9]|[a-z]{10})[A-Za-z0-9]{8,}",
        r"(?<![A-Za-z0-9])(?:gh[pousr]|github_pat|[sr]k_(?:live|test)|dckr_pat|dop_v1|glsa|shpat|api_org|whsec)_\w{8,}",
        r"(?<![A-Za-z0-9])(?:npm|r8|gsk)_[A-Za-z0-9]{12,}",
        r"(?<![A-Za-z0-9_])sk-(?=(?:[\w-]*-)?(?:(?=[a-z_]*[0-9A-Z])\w{6}|\w{12}))[\w-]{6,}",
        r"(?<![A-Za-z0-9])(?:xox[abeoprs]|xapp|gl(?:pat|ptt|dt|rt|soat)|nvapi|pypi)-[\w-]{8,}",
        r"(?<![A-Za-z0-9])A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}",
        r"(?<![A-Za-z0-9])(?:AIza[\w-]{16,}|ya29\.[\w-]{8,}|SG\.[\w-]{8,}\.[\w-]{8,})",
        r"(?<=hooks\.slack\.com/services/)[\w/]+",
    )
]
SCHEME = re.compile(r"\b(Bearer|Basic)(\s+)([\w.~+/=-]{4,})", re.IGNORECASE)
WHOLE_LINE = {"authorization", "cookie"}
PROSE = {"token", "tokens", "auth", "authentication", "authorization", "header", "scheme", "credentials"}

# A secret beside its key: `--model:token x`, token=x and ?sig=x, 'token': 'x' at any depth of quotes, X-Api-Key: x.
SHELL_WORD = r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\])+"""
NAMED = re.compile(r"--\w")
OPTION = re.compile(rf"""(--[\w.:"'-]+@?)(=|\s+)(?!--)({SHELL_WORD})""")
QUOTED = r"""(?P<open>[bru]{0,2}(?P<quote>\\*["']))(?P<inner>(?:(?!(?P=quote))(?:\\.|.))*)(?P<close>(?P=quote))"""
ASSIGNED = re.compile(
    rf"""(?<![\w-])(?P<key>[A-Za-z_][\w.-]*)(?P<sign>\s?=(?!=)\s?)(?:{QUOTED}|(?P<bare>[^\s&;'"]+))"""
)
ENTRY = re.compile(
    rf"""(?P<mark>\\*["'])(?P<key>[\w. -]+)(?P=mark)(?P<sign>\s*[:,]\s*)(?:{QUOTED}|(?P<bare>[^\s,{{}}\[\]()'"]+))"""
)
HEADER = re.compile(r"""(?<![\w:.-])([A-Za-z][\w-]*)(:\s+)([^\s'"][^'"\r\n]*)""")

_typed: set[str] = set()  # secrets of this program's command lines: wherever they turn up, they are masked


def hidden(_: str) -> str:
    """Return what stands for a secret before people."""
    return MASK


def sealed(secret: str) -> str:
    """Return what stands for a secret in a log: equal for equal secrets of one user on one machine, and for no others.

    Without a key it is the mask alone, which tells nothing from anything.
    """
    key = identity_key()
    if key is None:
        return MASK
    return f"{MASK}(k:{hmac.digest(key, secret.encode('utf-8', 'surrogatepass'), hashlib.sha256).hex()[:12]})"


def apart(secret: str) -> str:
    """Return what stands for a secret in the identity of what is kept: without a key, equal to nothing ever."""
    return sealed(secret) if identity_key() is not None else f"{MASK}(once:{os.urandom(6).hex()})"


def key_file() -> Path:
    """Return where this user's key is."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "fmbench" / "secrets.key"


def identity_key() -> bytes | None:
    """Return this user's key, made where there is none; None where it cannot be made, or others may read it."""
    try:
        path = key_file()
        if not path.exists():
            make_key(path)
        with path.open("rb") as stream:
            private = not os.fstat(stream.fileno()).st_mode & 0o077
            key = stream.read(KEY_BYTES + 1)
    except (OSError, RuntimeError):  # no home, a read-only one
        return None
    return key if private and len(key) == KEY_BYTES else None


def make_key(path: Path) -> None:
    """Draw a key; where another process was quicker, its key stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(os.urandom(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


@functools.cache
def is_secret(key: str) -> bool:
    """Whether what stands under a key is a secret, by the key's words; of `set:key:key`, by those of any part."""
    return any(names_secret(WORD.findall(part), part) for part in key.split(":"))


def names_secret(found: Sequence[str], part: str) -> bool:
    """Whether the words of a key name a secret."""
    words = [word.lower() for word in found]
    joined = "".join(words)
    if joined in ALONE | STRONG or part.lower().lstrip("-").startswith("x-amz-"):
        return True
    if not words or words[-1] in ABOUT:
        return False
    if STRONG & {*words} or words[-3:] == ["access", "key", "id"]:
        return True
    while len(words) > 1 and words[-1] in SAME:
        words.pop()
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in WEAK:
        return before not in OF_MODELS[last]
    return before in OF_API and last.removesuffix("s") in WEAK


def masked(name: str, value: str, hide: Hide = hidden) -> str:
    """Return an argument's value as it may be printed."""
    if is_secret(name) and not HARMLESS.fullmatch(value.strip()):
        return hide(value)
    return masked_text(value, hide)


def masked_text(text: str, hide: Hide = hidden) -> str:
    """Return a text, as typed, without the secrets in it; where it is a command line of its own, word by word."""
    with contextlib.suppress(ValueError):  # a quote that is not closed
        words = shlex.split(text)
        if any(map(NAMED.match, words)):
            kept = masked_words(words, hide)
            return text if kept == words else " ".join(map(quoted, kept))

    def option(match: re.Match[str]) -> str:
        if not is_secret(match[1]) or HARMLESS.fullmatch(match[3]):
            return match[0]
        return match[1] + match[2] + hide(match[3])

    return masked_looks(OPTION.sub(option, text), hide)


def masked_words(words: Sequence[str], hide: Hide) -> list[str]:
    """Return the words of a command line without secrets."""
    found: list[str] = []
    option = ""  # whose value the next word is, where that is a secret
    for word in words:
        name, sign, value = word.partition("=")
        if not NAMED.match(word):
            found.append(masked(option, word, hide))
        elif is_secret(name) and sign:
            found.append(name + sign + masked(name, value, hide))
        else:
            found.append(name + sign + masked_text(value, hide) if sign else masked_looks(word, hide))
        option = word if NAMED.match(word) and not sign else ""
    return found


def quoted(word: str) -> str:
    """Return a word as a shell takes it; the masks in it need no quotes to be read back."""
    plain = MASKED.sub("x", word)
    return word if shlex.quote(plain) == plain else shlex.quote(word)


def masked_looks(text: str, hide: Hide) -> str:
    """Return a text without what stands beside a secret's key, and what looks like a secret."""

    def beside(match: re.Match[str]) -> str:
        key, bare = match["key"], match["bare"]
        secret = match["inner"] if bare is None else bare
        listed = "," in match["sign"] and not is_telling(key)  # ['query', 'key', 'value']
        if listed or not is_secret(key) or HARMLESS.fullmatch(secret.rstrip(",)]}")) or is_masked(secret):
            return match[0]
        before = match[0][: match.start("inner" if bare is None else "bare") - match.start()]
        return before + hide(secret) + (match["close"] or "")

    def header(match: re.Match[str]) -> str:
        name, sign, value = match.groups()
        if not is_telling(name) or is_masked(value):
            return match[0]
        end = len(value) if "-" in name or name.lower() in WHOLE_LINE else len(value.split()[0])
        return match[0] if HARMLESS.fullmatch(value[:end]) else name + sign + hide(value[:end]) + value[end:]

    def scheme(match: re.Match[str]) -> str:
        known = is_masked(match[3]) or not is_credential(match[1].lower(), match[3])
        return match[0] if known else match[1] + match[2] + hide(match[3])

    def look(match: re.Match[str]) -> str:
        return match[0] if is_masked(match[0]) else hide(match[0])

    for pattern, replace in ((ENTRY, beside), (ASSIGNED, beside), (HEADER, header), (SCHEME, scheme)):
        text = pattern.sub(replace, text)
    for pattern in LOOKS:
        text = pattern.sub(look, text)
    return text


def is_telling(key: str) -> bool:
    """Whether a key names a secret even in prose and lists, where `key` and `token` are words like others."""
    return is_secret(key) and key.lower() not in WEAK


def is_masked(text: str) -> bool:
    """Whether a text begins with a mask."""
    return MASKED.match(text) is not None


def is_credential(scheme: str, text: str) -> bool:
    """Whether the word behind Bearer or Basic is one that opens a door, and not prose."""
    if scheme == "bearer":
        return text.lower() not in PROSE
    with contextlib.suppress(binascii.Error, ValueError):
        return b":" in base64.b64decode(text, validate=True)
    return False


def masked_tree(tree: Mapping[str, Any], hide: Hide) -> dict[str, Any]:
    """Return nested options without the secrets among their texts."""
    return {
        key: masked_tree(value, hide) if isinstance(value, Mapping)
        else masked(str(key), value, hide) if isinstance(value, str) else value
        for key, value in tree.items()
    }  # fmt: skip


def remember(words: Sequence[str]) -> None:
    """Take over the secrets of a command line: whoever quotes one later, a library too, does not say it."""
    for place, word in enumerate(words):
        _typed.update(secrets_at(word, words[place + 1] if place + 1 < len(words) else ""))


@functools.lru_cache(maxsize=4096)
def secrets_at(word: str, follows: str) -> frozenset[str]:
    """Return the secrets in a word of a command line, and in its value where that is the next word."""
    found: set[str] = set()

    def take(secret: str) -> str:
        found.add(secret.strip("'\""))
        return MASK

    option, sign, value = word.partition("=")
    value = value if sign else follows
    if word.startswith("--") and not value.startswith("--"):
        masked(option, value, take)
    masked_text(word, take)
    return frozenset(found)


def masked_message(text: str) -> str:
    """Return what a program says, a library's error in it too, without secrets."""

    def option(match: re.Match[str]) -> str:  # prose may follow a name: only what was typed is told from it
        bare = match[3].strip("'\".,;:)")
        return match[1] + match[2] + match[3].replace(bare, MASK) if bare in _typed else match[0]

    text = OPTION.sub(option, text)
    for pattern in patterns_of(frozenset(known_secrets())):
        text = pattern.sub(MASK, text)
    return masked_looks(text, hidden)


def known_secrets() -> Iterator[str]:
    """Yield what was typed, and what the environment holds under a secret's name."""
    yield from (secret for secret in _typed if len(secret) >= 4)
    for name, value in os.environ.items():
        if len(value) >= 8 and not value.startswith("/") and is_secret(name) and not HARMLESS.fullmatch(value):
            yield value


@functools.lru_cache(maxsize=8)
def patterns_of(secrets: frozenset[str]) -> list[re.Pattern[str]]:
    """Return patterns of secrets, the longest first, as they are, quoted and on one line; short ones as words alone."""
    found = {form for one in secrets for form in (one, repr(one)[1:-1], " ".join(one.split()), quote(one, safe=""))}
    texts = (re.escape(form) for form in sorted(found, key=len, reverse=True) if form)
    return [re.compile(text if len(text) >= 8 else rf"(?<!\w){text}(?!\w)") for text in texts]


def masked_values(value: Any) -> Any:
    """Return JSON values without the secrets in their texts."""
    if isinstance(value, Mapping):
        return {key: masked_values(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked_values(below) for below in value]
    return masked_message(value) if isinstance(value, str) else value
