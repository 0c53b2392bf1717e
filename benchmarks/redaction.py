"""Measure redaction on made text: what of it is found, and what else is taken for something.

    python benchmarks/redaction.py [--misses]

Values are made from a fixed seed, by the rules of their kind (numbers with valid check digits; national writings of
telephone numbers; keys of vendors' forms), and put into lines as logs and people write them: JSON, JSON in JSON,
key=value, headers, prose. Beside them stand lines that hold nothing personal and look as if they did: ids, hashes,
times, versions, counters, addresses of records; and numbers of the right form whose check digit is wrong. A value is
*found* if a span of its kind covers it whole; a span that touches no value is *wrong*. All of it is made by the author
of the detectors: real text is harder.
"""

from __future__ import annotations

import argparse
import random
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import scored

from strataline.report.redact import find

SEED = 7
EACH = 300
"""Values of each kind."""


@dataclass(frozen=True)
class Line:
    """One line, and where its values are."""

    text: str
    values: tuple[tuple[int, int, str], ...]


Made = Callable[[random.Random], str]


def _digits(rng: random.Random, number: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(number))


def _word(rng: random.Random, low: int = 3, high: int = 9) -> str:
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(low, high)))


def _mixed(rng: random.Random, number: int, more: str = "") -> str:
    return "".join(rng.choice(string.ascii_letters + string.digits + more) for _ in range(number))


def _hex(rng: random.Random, number: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(number))


def email(rng: random.Random) -> str:
    """An address: plain, dotted, tagged, with digits, under one or several labels."""
    local = rng.choice(
        [_word(rng), f"{_word(rng)}.{_word(rng)}", f"{_word(rng)}+{_word(rng)}", f"{_word(rng)}{rng.randint(1, 99)}"]
    )
    top = rng.choice(["com", "example", "co.uk", "org", "io", "de", "museum"])
    host = rng.choice([_word(rng), f"{_word(rng)}-{_word(rng)}", f"mail.{_word(rng)}"])
    made = f"{local}@{host}.{top}"
    return made.upper() if rng.random() < 0.1 else made


def phone(rng: random.Random) -> str:
    """A number as it is written in one of ten countries."""

    def d(number: int) -> str:
        return _digits(rng, number)

    area, exchange = f"{rng.randint(2, 9)}{d(2)}", f"{rng.randint(2, 9)}{d(2)}"
    return rng.choice(
        [
            f"+1 {area} {exchange} {d(4)}",
            f"({area}) {exchange}-{d(4)}",
            f"{area}-{exchange}-{d(4)}",
            f"{area}.{exchange}.{d(4)}",
            f"1-{area}-{exchange}-{d(4)}",
            f"+44 20 {d(4)} {d(4)}",
            f"07{d(3)} {d(6)}",
            f"+49 30 {d(7)}",
            f"030/{d(7)}",
            f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}",
            f"06 {d(2)} {d(2)} {d(2)} {d(2)}",
            f"+81-3-{d(4)}-{d(4)}",
            f"+91 98{d(3)} {d(5)}",
            f"+61 4{d(2)} {d(3)} {d(3)}",
            f"+353{d(9)}",
            f"0041 44 {d(3)} {d(2)} {d(2)}",
        ]
    )


def card(rng: random.Random) -> str:
    """A card of one of six issuers, bare or in groups."""
    start, length = rng.choice([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3528", 16)])
    body = start + _digits(rng, length - len(start) - 1)
    number = next(body + last for last in string.digits if _luhn(body + last))
    by = rng.choice(["", "", " ", "-"])
    if length == 15:
        return by.join([number[:4], number[4:10], number[10:]])
    return by.join(number[at : at + 4] for at in range(0, 16, 4))


def _luhn(digits: str) -> bool:
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban(rng: random.Random) -> str:
    """An account number of one of six countries, bare or in groups of four."""
    country, body = rng.choice(
        [
            ("DE", _digits(rng, 18)),
            ("GB", "NWBK" + _digits(rng, 14)),
            ("FR", _digits(rng, 23)),
            ("NL", "ABNA" + _digits(rng, 10)),
            ("ES", _digits(rng, 20)),
            ("CH", _digits(rng, 17)),
        ]
    )
    rest = int("".join(str(int(char, 36)) for char in f"{body}{country}00")) % 97
    number = f"{country}{98 - rest:02}{body}"
    return number if rng.random() < 0.5 else " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def key(rng: random.Random) -> str:
    """A key or token by whose form its vendor is known."""
    return rng.choice(
        [
            "sk-proj-" + _mixed(rng, 48),
            "sk-ant-api03-" + _mixed(rng, 60, "_-"),
            "AKIA" + "".join(rng.choice(string.ascii_uppercase + string.digits) for _ in range(16)),
            "ghp_" + _mixed(rng, 36),
            "xoxb-" + _digits(rng, 12) + "-" + _mixed(rng, 24),
            "AIza" + _mixed(rng, 35),
            "hf_" + _mixed(rng, 34),
            "eyJhbGciOiJIUzI1NiJ9." + "eyJ" + _mixed(rng, 40) + "." + _mixed(rng, 43),
            "glpat-" + _mixed(rng, 20),
            "pk-lf-" + "-".join(_hex(rng, number) for number in (8, 4, 4, 4, 12)),
        ]
    )


def secret(rng: random.Random) -> str:
    """A secret that nothing but its name tells."""
    return rng.choice(
        [
            _mixed(rng, rng.randint(20, 44)),
            _hex(rng, 32),
            _mixed(rng, 10) + str(rng.randint(1, 9)),
            _mixed(rng, 40, "+/"),
        ]
    )


def ip(rng: random.Random) -> str:
    """An address of version 4 or 6."""
    if rng.random() < 0.7:
        return f"{rng.randint(1, 126)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    groups = [f"{rng.randint(1, 65535):x}" for _ in range(8)]
    return rng.choice(
        [
            ":".join(["2001", *groups[1:]]),
            f"2001:db8::{groups[0]}:{groups[1]}",
            f"fe80::{groups[0]}:{groups[1]}:{groups[2]}",
        ]
    )


HOLDERS: dict[str, tuple[Made, tuple[str, ...]]] = {
    "email": (
        email,
        (
            '{{"user":"{}","event":"login"}}',
            "user={} action=login",
            "My address is {}, thanks.",
            "Please write to {}.",
            '{{"body":"{{\\"from\\":\\"{}\\"}}"}}',
            "<{}>",
            "mailto:{}?subject=x",
            "owner:{};next",
        ),
    ),
    "phone": (
        phone,
        (
            "Call me at {} tomorrow.",
            '{{"phone":"{}","plan":"pro"}}',
            "phone={} plan=pro",
            "my number: {}",
            "Tel. {}",
            "You can reach us: {}.",
            "{}, or by mail",
            '{{"text":"it is {} or nothing"}}',
        ),
    ),
    "card": (
        card,
        ("I paid with {} yesterday", '{{"text":"card {}"}}', "card={} exp=12/27", "number: {}.", "{}", "pan:{},ok"),
    ),
    "iban": (iban, ("Please refund to {} soon", '{{"iban":"{}"}}', "IBAN: {}", "account={}", "from {}, to mine")),
    "key": (
        key,
        (
            "key {} used",
            '{{"text":"my key is {}"}}',
            "Authorization: Bearer {}",
            "api_key={}",
            "?key={}&x=1",
            "token '{}'",
        ),
    ),
    "secret": (
        secret,
        (
            '{{"api_key":"{}"}}',
            "password={} user=x",
            "CLIENT_SECRET={}",
            '{{"headers":"{{\\"authorization\\":\\"Bearer {}\\"}}"}}',
            "Authorization: Basic {}",
            "DB_PASSWORD='{}'",
            '"accessToken": "{}"',
            "https://svc:{}@host.internal/path",
        ),
    ),
    "ip": (
        ip,
        (
            '{{"client_ip":"{}"}}',
            "{} - - [10/Oct/2026:13:55:36 -0700]",
            "from {} to here",
            "peer={} ok",
            "X-Forwarded-For: {}",
        ),
    ),
}
KINDS = {"secret": "key"}
"""The kind that a redactor gives to what is made as another."""


def plain(rng: random.Random) -> Iterator[str]:
    """Lines that hold nothing personal, and look as if they did."""
    h, d, n = _hex, _digits, rng.randint
    yield f"trace_id={h(rng, 32)} span_id={h(rng, 16)}"
    yield f"00-{h(rng, 32)}-{h(rng, 16)}-01"
    yield f"{h(rng, 8)}-{h(rng, 4)}-4{h(rng, 3)}-a{h(rng, 3)}-{h(rng, 12)}"
    yield f"sha256:{h(rng, 64)} md5 {h(rng, 32)}"
    yield f'{{"id":"chatcmpl-{_mixed(rng, 29)}","request_id":"req_{h(rng, 24)}"}}'
    yield f'{{"dd.trace_id":{rng.getrandbits(63)},"dd.span_id":"{rng.getrandbits(63)}"}}'
    yield f"2026-{n(10, 12)}-{n(10, 28)}T{n(10, 23)}:{n(10, 59)}:01.{d(rng, 9)}Z start"
    yield f'{{"timeUnixNano":"17{d(rng, 17)}","ts":17{d(rng, 11)},"t":17{d(rng, 8)}.{d(rng, 6)}}}'
    yield f"took {n(1, 9000)} ms, {n(100, 9000)} of {n(9000, 90000)} tokens, {rng.random():.16f}"
    yield f"app/{_word(rng)}.jsonl.{n(1, 9)}.gz:{n(1, 99999)} offset {n(10**6, 10**9):,}"
    yield f"Mozilla/5.0 Chrome/{n(90, 140)}.0.{n(1000, 9999)}.{n(0, 200)} Safari/537.36"
    yield f"version {n(1, 9)}.{n(0, 9)}.{n(0, 9)}.{n(0, 9)} of v{n(1, 9)}.2.3.4"
    yield f"order {d(rng, 12)} of {n(1, 12)}/{n(1, 28)}/2026, batch {d(rng, 6)}-{d(rng, 4)}"
    yield f'{{"prompt_tokens":{n(1, 9999)},"max_tokens":4096,"token":"{_word(rng)}","key":"{_word(rng)}"}}'
    yield f"scores 0.{d(rng, 6)} 0.{d(rng, 6)} [{n(1, 99)}, {n(1, 99)}, {n(1, 99)}]"
    yield f"see [1] and [2]; password reset, token limit, secret {_word(rng)}, key {_word(rng)}: none"
    yield f"{_word(rng)}@{n(1, 9)}.{n(0, 9)}.{n(0, 9)} icon@2x.png @{_word(rng)}/{_word(rng)}"
    yield f"std::{_word(rng)}::{_word(rng)} at {n(10, 23)}:{n(10, 59)}:{n(10, 59)} 127.0.0.1 ::1"
    yield f"user u_{d(rng, 5)} session sess_{h(rng, 16)} item {d(rng, 8)} EV-{d(rng, 4)} C-{d(rng, 3)}"
    wrong = card(rng).replace(" ", "").replace("-", "")
    yield f"number {wrong[:-1]}{(int(wrong[-1]) + 1) % 10}"
    bad = iban(rng).replace(" ", "")
    yield f"account {bad[:2]}{(int(bad[2:4]) + 1) % 100:02}{bad[4:]}"
    yield f"range {n(256, 999)}.1.2.3 and {n(1, 9)}.{n(1, 9)}.{n(1, 9)}"


def lines() -> Iterator[Line]:
    """Every line: `EACH` for each kind, and as many rounds of lines without a value as there are kinds."""
    rng = random.Random(SEED)  # noqa: S311 - made text, not secrets
    for kind, (made, holders) in HOLDERS.items():
        for number in range(EACH):
            value = made(rng)
            text = holders[number % len(holders)].format(value)
            at = text.index(value)
            yield Line(text, ((at, at + len(value), KINDS.get(kind, kind)),))
    for _ in range(len(HOLDERS) * 10):
        for text in plain(rng):
            yield Line(text, ())


def measured() -> tuple[dict[str, tuple[int, int, int]], list[str]]:
    """By kind: values found, spans that touch no value, values not found; and what went wrong, as text."""
    found, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    said = []
    for line in lines():
        spans = find(line.text)
        for start, end, kind in line.values:
            if any(a <= start and end <= b and k == kind for a, b, k in spans):
                found[kind] += 1
            else:
                missed[kind] += 1
                said.append(f"missed {kind}: {line.text}")
        for start, end, kind in spans:
            if not any(a < end and start < b for a, b, _ in line.values):
                wrong[kind] += 1
                said.append(f"wrong {kind} {line.text[start:end]!r}: {line.text}")
    return {kind: (found[kind], wrong[kind], missed[kind]) for kind in sorted({*found, *missed, *wrong})}, said


def table() -> list[str]:
    """The measurement as a table of Markdown."""
    return scored.table("kind", measured()[0])


def main() -> None:
    """Print the table, the speed, and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="also print each line that went wrong")
    chosen = parser.parse_args()
    print("\n".join(table()))
    every = "\n".join(line.text for line in lines())
    start = time.process_time()
    find(every)
    print(f"\n{len(every) / (time.process_time() - start) / 1e6:.1f} MB of text a CPU-second")
    if chosen.misses:
        print("\n".join(["", *measured()[1]]))


if __name__ == "__main__":
    main()
