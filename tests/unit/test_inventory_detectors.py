"""Known answers of every detector: valid values, near misses with a broken check, and plain numbers."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sfumato.core.values import Role
from sfumato.inventory.detectors import DETECTORS
from sfumato.inventory.detectors.base import by_chance
from sfumato.inventory.detectors.national import SCHEMES
from sfumato.inventory.profile import measure
from sfumato.inventory.take import detect

N = 120


def found(values: Sequence[Any], header: str = "column_x") -> dict[str, float]:
    """Kind -> share of what is detected in a column of these values."""
    series = pl.Series(header, values, strict=False)
    return {detection.kind: detection.share for detection in detect(measure(series), bytes(32))}


def many(make: Callable[[random.Random], Any], n: int = N) -> list[Any]:
    draw = random.Random(7)
    return [make(draw) for _ in range(n)]


def digits(draw: random.Random, n: int) -> str:
    return str(draw.randrange(1, 10)) + "".join(draw.choices(string.digits, k=n - 1))


def shuffle_last(value: str) -> str:
    """The value with another last digit: what a checksum exists to notice."""
    return value[:-1] + str((int(value[-1]) + 1) % 10)


IBANS = [
    "GB82 WEST 1234 5698 7654 32",
    "DE89370400440532013000",
    "FR1420041010050500013M02606",
    "NL91ABNA0417164300",
    "ES9121000418450200051332",
    "CH9300762011623852957",
    "BE68539007547034",
    "AT611904300234573201",
]
CARDS = [
    "4111111111111111",
    "4012 8888 8888 1881",
    "5555-5555-5555-4444",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "5105105105105100",
    "2223003122003222",
]


def test_email_alone_and_within_text() -> None:
    assert found([f"person{i}@example.org" for i in range(N)])["email"] == 1.0
    notes = [f"note {i}" for i in range(60)] + [f"write to a.b{i}@mail.example.com today" for i in range(6)]
    assert "email" in found(notes)
    assert "email" not in found([f"person{i} at example.org" for i in range(N)])
    assert "email" not in found([f"@handle{i}" for i in range(N)])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("url", "https://example.org/u/{}", "example dot org slash {}"),
        ("ip-address", "192.168.1.{}", "192.168.1.9{}9"),
        ("ip-address", "2001:db8::{}", "2001:db8::g{}"),
        ("mac-address", "00:1b:44:11:3a:{:02x}", "00:1b:44:11:3a-{:02x}"),
        ("uuid", "123e4567-e89b-12d3-a456-4266141740{:02x}", "123e4567-e89b-12d3-a456-42661417{:02x}"),
        ("hex-digest", "5eb63bbbe01eeed093cb22bb8f5acd{:02x}", "5eb63bbbe01eeed093cb22bb8f5acz{:02x}"),
    ],
)
def test_forms_of_machines(kind: str, good: str, bad: str) -> None:
    assert found([good.format(i) for i in range(N)])[kind] == 1.0
    assert kind not in found([bad.format(i) for i in range(100, 100 + N)])


def test_iban_needs_its_checksum() -> None:
    assert found(IBANS)["iban"] == 1.0
    assert "iban" not in found([shuffle_last(value) for value in IBANS])


def test_a_few_ibans_among_other_accounts_are_enough() -> None:
    assert found([*IBANS, *(f"konto {i}" for i in range(30))])["iban"] == pytest.approx(8 / 38)


def test_card_needs_luhn_and_issuer() -> None:
    assert found(CARDS)["payment-card"] == 1.0
    assert found([int(value.replace(" ", "").replace("-", "")) for value in CARDS])["payment-card"] == 1.0
    assert "payment-card" not in found([shuffle_last(value) for value in CARDS])
    # Right by Luhn, but 9 is no issuer's prefix.
    assert "payment-card" not in found(["9111111111111116"] * 3 + ["9111111111111124"])


def test_random_numbers_of_a_cards_length_are_no_cards() -> None:
    assert "payment-card" not in found(many(lambda draw: "4" + digits(draw, 15)), "card_number")


def valid_numbers(module: str, form: Callable[[random.Random], str], n: int = 40) -> list[str]:
    check, draw, kept = import_module(f"stdnum.{module}"), random.Random(3), set[str]()
    while len(kept) < n:
        value = form(draw)
        if check.is_valid(value):
            kept.add(value)
    return sorted(kept)


@pytest.mark.parametrize(
    ("module", "length"),
    [
        ("gb.nhs", 10),
        ("de.idnr", 11),
        ("pl.pesel", 11),
        ("nl.bsn", 9),
        ("se.personnummer", 10),
        ("be.nn", 11),
        ("br.cpf", 11),
        ("in_.aadhaar", 12),
        ("ca.sin", 9),
        ("tr.tckimlik", 11),
        ("za.idnr", 13),
    ],
)
def test_national_numbers_with_check_digits(module: str, length: int) -> None:
    values = valid_numbers(module, lambda draw: digits(draw, length))
    assert found(values)["national-id"] == 1.0
    assert found([int(value) for value in values])["national-id"] == 1.0
    broken = [shuffle_last(value) for value in values]
    assert "national-id" not in found(broken)


def test_national_numbers_with_letters() -> None:
    from stdnum.es import dni

    values = many(lambda draw: (body := digits(draw, 8)) + dni.calc_check_digit(body), 40)
    assert found(values)["national-id"] == 1.0
    wrong = [value[:8] + ("A" if value[8] != "A" else "B") for value in values]
    assert "national-id" not in found(wrong)
    nino = many(lambda draw: f"AB{digits(draw, 6)}C")
    assert found(nino)["national-id"] == 1.0
    assert "national-id" not in found([value.replace("AB", "DQ") for value in nino])


def test_social_security_numbers_need_hyphens_or_a_header() -> None:
    written = many(lambda draw: f"{draw.randrange(100, 600)}-{draw.randrange(10, 99)}-{digits(draw, 4)}")
    assert found(written)["national-id"] == 1.0
    bare = [value.replace("-", "") for value in written]
    assert "national-id" not in found(bare)
    assert "national-id" in found(bare, "ssn")
    impossible = ["666" + value[3:] for value in written]
    assert "national-id" not in found(impossible, "ssn")


def test_the_chance_of_each_scheme_is_not_understated() -> None:
    """Random digits of the right form pass no more often than the table says (n = 2,000, 5 sigma)."""
    lengths = {"gb.nhs": 10, "nl.bsn": 9, "de.idnr": 11, "br.cpf": 11, "il.idnr": 9, "hr.oib": 11}
    stated = {scheme.module: scheme.chance for scheme in SCHEMES}
    for module, length in lengths.items():
        check, draw = import_module(f"stdnum.{module}"), random.Random(11)
        passed = sum(check.is_valid(digits(draw, length)) for _ in range(2000))
        expected = 2000 * stated[module]
        assert passed <= expected + 5 * (expected * (1 - stated[module])) ** 0.5 + 3, module


def test_a_validator_that_stumbles_says_no() -> None:
    # python-stdnum 2.2 raises KeyError on some Chinese numbers instead of refusing them.
    assert "national-id" not in found(many(lambda draw: digits(draw, 18)))


def test_by_chance_is_the_binomial_tail() -> None:
    assert by_chance(0, 5, 0.1) == pytest.approx(1.0)
    assert by_chance(5, 5, 0.1) == pytest.approx(1e-5)
    assert by_chance(1, 2, 0.5) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("header", "make"),
    [
        ("column_x", lambda draw: draw.randrange(17, 95)),
        ("age", lambda draw: draw.randrange(17, 95)),
        ("ssn_years", lambda draw: draw.randrange(0, 40)),
        ("salary", lambda draw: draw.randrange(20_000, 90_000)),
        ("income", lambda draw: round(draw.lognormvariate(10, 1), 2)),
        ("account_balance", lambda draw: draw.randrange(100, 10**6)),
        ("year", lambda draw: draw.randrange(1950, 2020)),
        ("hours", lambda draw: draw.randrange(0, 80)),
        ("number_of_children", lambda draw: draw.randrange(0, 9)),
        ("flag", lambda draw: draw.randrange(0, 2)),
        ("bmi", lambda draw: round(draw.gauss(25, 4), 1)),
        ("ratio", lambda draw: draw.random()),
        ("telephone", lambda draw: draw.randrange(0, 2)),
    ],
)
def test_plain_numbers_are_no_identifiers(header: str, make: Callable[[random.Random], Any]) -> None:
    assert found(many(make, 400), header) == {}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("workclass", ["Private", "Self-emp-not-inc", "Federal-gov", "Never-worked"]),
        ("city", ["Paris", "Austin", "Jackson", "Madison", "Charlotte", "Houston", "Lincoln", "Florence"]),
        ("country", ["Jordan", "Chad", "Georgia", "France", "Germany", "Israel", "Mali", "Niger"]),
        ("answer", ["I strongly agree with this statement here", "I do not know what to say", "no"]),
        ("version", ["1.2.3", "2.0.1", "3.11.7"]),
        ("grade", ["A1", "A2", "B1", "B2"]),
        ("income", [">50K", "<=50K"]),
        ("telephone", ["A191", "A192"]),
        ("product_name", ["Lamp", "Chair", "Rose", "Table"]),
    ],
)
def test_plain_categories_are_no_identifiers(header: str, values: list[str]) -> None:
    assert found(values * 40, header) == {}


def test_random_numbers_of_an_identifiers_length_are_keys_at_most() -> None:
    for length in (8, 9, 10, 11, 12, 13):
        values = many(lambda draw, length=length: int(digits(draw, length)), 300)
        assert set(found(values)) <= {"near-unique-key"}, length
        assert "national-id" not in found([str(value) for value in values]), length


def test_phones_with_country_code() -> None:
    assert found(many(lambda draw: f"+49 30 {digits(draw, 7)}"))["phone"] == 1.0
    assert found([f"+1-202-555-01{i:02}" for i in range(100)])["phone"] == 1.0
    assert "phone" not in found([f"+1-202-55{i:02}" for i in range(100)])


def test_phones_without_country_code_need_header_or_punctuation() -> None:
    written = many(lambda draw: f"({draw.randrange(201, 989)}) {draw.randrange(200, 999)}-{digits(draw, 4)}")
    assert "phone" in found(written)
    bare = many(lambda draw: f"202{draw.randrange(200, 999)}{digits(draw, 4)}")
    assert "phone" not in found(bare)
    assert "phone" in found(bare, "mobile")
    assert "phone" in found([int(value) for value in bare], "phone_number")
    assert "phone" not in found([int(value) for value in bare])


def test_dates_of_birth() -> None:
    births = many(
        lambda draw: f"{draw.randrange(1930, 2005)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
    )
    assert "date-of-birth" in found(births)
    assert "date-of-birth" in found([f"{v[8:]}.{v[5:7]}.{v[:4]}" for v in births], "geburtsdatum")
    assert "date-of-birth" in found([int(value[:4]) for value in births], "birth_year")
    assert found([int(value[:4]) for value in births], "year") == {}
    events = [f"{2015 + int(value[3]) % 8}{value[4:]}" for value in births]
    assert set(found(events)) == {"date"}
    assert "date-of-birth" in found(events, "dob"), "the header adds weight to plausible years"
    assert "date" not in found([value[:5] + "13-40" for value in births])


def test_dates_by_type() -> None:
    dates = pl.Series("when", ["2020-01-01", "2020-02-01"]).str.to_date()
    assert [d.kind for d in detect(measure(dates), bytes(32))] == ["date"]
    times = dates.cast(pl.Datetime)
    assert [d.kind for d in detect(measure(times), bytes(32))] == ["date"]
    assert "date" in found(["March 3, 2020", "4 April 2021", "12. Mai 2021"] * 3)
    assert "date" not in found(["Marble 3, 2020", "4 Apples 2021"] * 3)


def test_postcodes() -> None:
    assert "postcode" in found([f"SW{i} {i % 9}AB" for i in range(1, 20)])
    assert "postcode" in found([f"K1A {i % 9}B{i % 7}" for i in range(40)])
    assert "postcode" in found([f"{12345 + i}-{1000 + i}" for i in range(40)])
    zips = many(lambda draw: draw.randrange(10_000, 99_999))
    assert "postcode" in found(zips, "zip")
    assert "postcode" not in found(zips)
    assert "postcode" not in found(zips, "salary")
    assert "postcode" not in found([value % 100 for value in zips], "zip")


def test_coordinates() -> None:
    latitudes = many(lambda draw: round(draw.uniform(30, 50), 5))
    assert "coordinates" in found(latitudes, "lat")
    assert "coordinates" not in found(latitudes)
    assert "coordinates" not in found([value * 10 for value in latitudes], "lat")
    assert "coordinates" in found([f"{value}, {-value}" for value in latitudes])
    assert "coordinates" not in found([f"{value + 90}, {-value}" for value in latitudes])


FIRST = [
    "James",
    "María",
    "Hans",
    "Ursula",
    "Jean",
    "Wei",
    "Fatima",
    "Raj",
    "Olga",
    "Piotr",
    "Giulia",
    "Kofi",
]
LAST = ["Smith", "Müller", "García", "Nowak", "Rossi", "Kim", "Nguyen", "Singh", "Silva", "Cohen", "Ivanov"]


def test_person_names() -> None:
    full = [f"{first} {last}" for first in FIRST for last in LAST]
    assert found(full)["person-name"] == 1.0
    assert "person-name" in found([f"{name.split()[1]}, {name.split()[0]}" for name in full])
    assert "person-name" in found(FIRST * 20, "first_name")
    assert "person-name" in found(LAST * 20, "nachname")
    assert "person-name" not in found(FIRST * 20)
    things = [f"{a} {b}" for a in ("Blue", "Steel", "Garden") for b in ("lamp", "table", "spoon", "wire")]
    assert "person-name" not in found(things)


def test_a_names_header_over_mostly_own_texts_is_believed() -> None:
    made_up = many(lambda draw: "Zq" + "".join(draw.choices("abcdefgh", k=7)).title())
    assert "person-name" in found(made_up, "surname")
    assert "person-name" not in found(made_up)
    assert "person-name" not in found(made_up, "product_name")
    assert "person-name" not in found(["Zqabc", "Zqdef", "Zqghi"] * 40, "surname")


def test_street_addresses() -> None:
    assert "street-address" in found([f"{i} Maple St" for i in range(1, N)])
    assert "street-address" in found([f"Lindenstraße {i}" for i in range(1, N)])
    assert "street-address" in found([f"{i} rue de la Paix" for i in range(1, N)])
    assert "street-address" not in found([f"Maple tree {i}" for i in range(1, N)])


def test_free_text() -> None:
    words = ["the", "patient", "came", "back", "to", "us", "with", "some", "pain", "in", "one", "arm"]
    texts = many(lambda draw: " ".join(draw.choices(words, k=12)))
    assert "free-text" in found(texts)
    assert "free-text" not in found([" ".join(text.split()[:2]) for text in texts])
    assert "free-text" not in found(texts[:4] * 30), "a few long answers to choose from are categories"


def test_record_codes_need_form_and_header() -> None:
    codes = many(lambda draw: f"{draw.choice('ABC')}{draw.randrange(100, 999)}")
    assert "record-code" in found(codes, "licence_plate")
    assert "record-code" not in found(codes, "band")
    assert "record-code" not in found(["A100", "B200", "C300"] * 40, "licence_plate")
    repeated = many(lambda draw: draw.randrange(10_000, 10_400), 2000)
    assert "record-code" in found(repeated, "customer_id")


def test_near_unique_keys() -> None:
    assert "near-unique-key" in found(list(range(1, 200)))
    assert "near-unique-key" in found([float(i) for i in range(1, 200)])
    assert "near-unique-key" in found([f"k{i:x}" for i in range(N)])
    assert "near-unique-key" not in found(list(range(1, 20))), "twenty people may differ in anything"
    assert "near-unique-key" not in found([i * i for i in range(1, 200)])
    assert "near-unique-key" not in found([f"{i / 7:.4f}" for i in range(200)]), "decimals measure"
    assert "near-unique-key" not in found([f"k{i % 40}" for i in range(N)])


def test_every_detector_is_tested_here() -> None:
    """A detector that is added must be added to this file as well."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in DETECTORS if f'"{kind}"' not in text] == []


def test_roles_of_detectors() -> None:
    quasi = {kind for kind in DETECTORS if DETECTORS.resolve(kind).role is Role.QUASI_IDENTIFIER}
    assert quasi == {"postcode", "coordinates", "date-of-birth", "date"}
