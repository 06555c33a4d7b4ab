"""Random changes of a file's bytes, like those by accidents, full disks or attackers; a seed reproduces them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

ODD = [
    *(
        None,
        True,
        -1,
        0,
        1e400,
        -0.0,
        2**70,
        "",
        "real",
        "1",
        "../../../x",
        "/etc/passwd",
        "\x1b[2J",
        "\ud800",
        "a" * 5000,
    ),
    *([], {}, [[[]]], {"value": None}, [1, "a"], {"a": {"b": [1]}}),
]
TOKENS = [
    b"NaN",
    b"null",
    b"-1",
    b"1e999",
    b'"',
    b"'",
    b",",
    b";",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"[",
    b"{",
]
TOKENS += [b"../", b"=1+1", b"&a *a", b"9" * 40, b"[" * 3000, b"\x1b[2J", b"\xed\xa0\x80"]


def mutate(content: bytes, seed: int) -> bytes:
    """Return the content with one to four changes; in JSON, half of them change values."""
    rng = random.Random(seed)  # nosec B311
    if rng.random() < 0.5 and content[:1] in (b"{", b"["):
        try:
            return json.dumps(_change_value(json.loads(content), rng)).encode()
        except ValueError:
            pass
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(CHANGES)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(max(len(content), 1))
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _leave_out(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.randrange(1, 64) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    end = start + rng.randrange(1, 256)
    return content[:end] + content[start:end] * rng.randrange(1, 4) + content[end:]


def _zero(content: bytes, rng: random.Random) -> bytes:
    start, count = rng.randrange(len(content) + 1), rng.randrange(1, 512)
    return content[:start] + bytes(min(count, len(content) - start)) + content[start + count :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(TOKENS) + content[place:]


def _swap_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _enlarge_number(content: bytes, rng: random.Random) -> bytes:
    """Write a large number where a length or an offset might be."""
    place = rng.randrange(len(content) + 1)
    number = rng.choice([0, 1, 0x7F, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1])
    size = rng.choice([1, 2, 4, 8])
    return content[:place] + number.to_bytes(8, "little")[:size] + content[place + size :]


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    *(_flip, _cut, _leave_out, _repeat, _zero, _insert, _swap_lines, _enlarge_number)
]


def _change_value(content: object, rng: random.Random) -> object:
    """Replace, remove or rename one value at any depth."""
    if not isinstance(content, dict | list) or not content or rng.random() < 0.15:
        return rng.choice(ODD)
    place = rng.choice([*content]) if isinstance(content, dict) else rng.randrange(len(content))
    chance = rng.random()
    if chance < 0.15:
        del content[place]
    elif chance < 0.25 and isinstance(content, dict):
        content[str(rng.choice(ODD))] = content.pop(place)
    else:
        content[place] = _change_value(content[place], rng)
    return content
