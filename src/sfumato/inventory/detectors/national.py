"""National identifiers, checked by python-stdnum.

Where a number has one check digit, every tenth random number passes it; such a number is believed
only where the passing share is far beyond that chance. A plain integer column that counts, measures
or dates something does not pass: all its values must have the identifier's exact length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined, by_chance


@dataclass(frozen=True)
class Scheme:
    """One identifier: what it is called, python-stdnum's module, the form without separators, and the
    share of random values of that form that pass (measured, rounded up; at least 1 in 1,000)."""

    title: str
    module: str
    form: str
    chance: float


#: A scheme without a module is told by its form, which is strict enough.
SCHEMES: tuple[Scheme, ...] = (
    Scheme("US social security number", "us.ssn", r"\d{9}", 0.9),
    Scheme("UK NHS number", "gb.nhs", r"\d{10}", 0.1),
    Scheme(
        "UK national insurance number",
        "",
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]",
        0.001,
    ),
    Scheme("German tax identification number", "de.idnr", r"[1-9]\d{10}", 0.005),
    Scheme("French social security number", "fr.nir", r"[1-8]\d{4}[\dAB]{2}\d{8}", 0.012),
    Scheme("Spanish DNI", "es.dni", r"\d{8}[A-Z]", 0.045),
    Scheme("Spanish NIE", "es.nie", r"[XYZ]\d{7}[A-Z]", 0.045),
    Scheme("Italian codice fiscale", "it.codicefiscale", r"[A-Z]{6}[0-9A-Z]{9}[A-Z]", 0.005),
    Scheme("Polish PESEL", "pl.pesel", r"\d{11}", 0.02),
    Scheme("Dutch BSN", "nl.bsn", r"\d{9}", 0.09),
    Scheme("Swedish personnummer", "se.personnummer", r"\d{10}|\d{12}", 0.005),
    Scheme("Norwegian fødselsnummer", "no.fodselsnummer", r"\d{11}", 0.002),
    Scheme("Danish CPR number", "dk.cpr", r"\d{10}", 0.03),
    Scheme("Finnish henkilötunnus", "fi.hetu", r"\d{6}[A-FU-Y+]?\d{3}[0-9A-Y]", 0.001),
    Scheme("Icelandic kennitala", "is_.kennitala", r"\d{10}", 0.002),
    Scheme("Belgian national number", "be.nn", r"\d{11}", 0.002),
    Scheme("Swiss AHV number", "ch.ssn", r"756\d{10}", 0.1),
    Scheme("Austrian insurance number", "at.vnr", r"[1-9]\d{9}", 0.09),
    Scheme("Irish PPS number", "ie.pps", r"\d{7}[A-W][A-IW]?", 0.045),
    Scheme("Portuguese citizen card", "pt.cc", r"\d{9}[A-Z0-9]{2}\d", 0.1),
    Scheme("Portuguese NIF", "pt.nif", r"\d{9}", 0.09),
    Scheme("Czech or Slovak birth number", "cz.rc", r"\d{9,10}", 0.02),
    Scheme("Romanian CNP", "ro.cnp", r"[1-9]\d{12}", 0.003),
    Scheme("Bulgarian EGN", "bg.egn", r"\d{10}", 0.012),
    Scheme("Croatian OIB", "hr.oib", r"\d{11}", 0.1),
    Scheme("Slovenian EMŠO", "si.emso", r"\d{13}", 0.004),
    Scheme("Estonian isikukood", "ee.ik", r"\d{11}", 0.005),
    Scheme("Lithuanian asmens kodas", "lt.asmens", r"\d{11}", 0.011),
    Scheme("Greek AMKA", "gr.amka", r"\d{11}", 0.005),
    Scheme("Turkish identity number", "tr.tckimlik", r"[1-9]\d{10}", 0.011),
    Scheme("Russian INN of a person", "ru.inn", r"\d{12}", 0.01),
    Scheme("Ukrainian taxpayer number", "ua.rntrc", r"\d{10}", 0.1),
    Scheme("Israeli identity number", "il.idnr", r"\d{9}", 0.1),
    Scheme("South African identity number", "za.idnr", r"\d{13}", 0.002),
    Scheme("Brazilian CPF", "br.cpf", r"\d{11}", 0.012),
    Scheme("Chilean RUT", "cl.rut", r"\d{7,8}[\dK]", 0.1),
    Scheme("Mexican CURP", "mx.curp", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", 0.01),
    Scheme("Canadian social insurance number", "ca.sin", r"[1-79]\d{8}", 0.1),
    Scheme("Australian tax file number", "au.tfn", r"\d{8,9}", 0.09),
    Scheme("Indian Aadhaar", "in_.aadhaar", r"[2-9]\d{11}", 0.1),
    Scheme("Indian PAN", "in_.pan", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", 0.01),
    Scheme("Chinese resident identity number", "cn.ric", r"\d{17}[\dX]", 0.001),
    Scheme("Korean resident registration number", "kr.rrn", r"\d{13}", 0.002),
    Scheme("Japanese My Number", "jp.in_", r"\d{12}", 0.1),
    Scheme("Thai identity number", "th.pin", r"[1-8]\d{12}", 0.1),
    Scheme("Malaysian identity number", "my.nric", r"\d{12}", 0.03),
    Scheme("EU VAT number", "eu.vat", r"[A-Z]{2}[0-9A-Z]{8,12}", 0.01),
    Scheme("IMEI of a phone", "imei", r"\d{15}", 0.1),
)

_SEPARATORS = re.compile(r"[ \-./]")
_SSN_FORM = re.compile(r"\d{3}-\d{2}-\d{4}")
#: Of the values examined, the share that must have the form, and of these the share that must pass.
_FORM_SHARE, _PASS_SHARE, _PASS_SHARE_HINTED = 0.8, 0.8, 0.5


class NationalId:
    """Numbers by which states, insurers and tax offices know a person."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """The scheme whose checks most values pass, if that is far beyond chance; several, if equal."""
        if not column.codelike or not column.values:
            return None
        bare = [_SEPARATORS.sub("", value).upper() for value in column.values]
        most, titles = 0, list[str]()
        for scheme in SCHEMES:
            fits = [v for v, b in zip(column.values, bare, strict=True) if re.fullmatch(scheme.form, b)]
            if len(fits) < _FORM_SHARE * len(column.values):
                continue
            passed = sum(map(_validator(scheme), fits))
            surprise = by_chance(passed, len(fits), scheme.chance)
            if passed >= most and self._believed(column, scheme, passed, surprise):
                titles = [*titles, scheme.title] if passed == most else [scheme.title]
                most = passed
        if not titles:
            return None
        named = " or ".join(titles[:3]) + (" or another" if len(titles) > 3 else "")
        return column.detection("national-id", most, f"pass the checks of the {named}")

    def _believed(self, column: Examined, scheme: Scheme, passed: int, surprise: float) -> bool:
        hinted = column.header.hints("national")
        n = len(column.values)
        if scheme.module == "us.ssn":
            # Nearly every nine digits are valid, so the hyphens or the header must speak too.
            written = column.passing(lambda value: _SSN_FORM.fullmatch(value) is not None)
            return passed >= 0.8 * n and (written >= 0.8 * n or (hinted and column.distinctness > 0.5))
        weak = scheme.chance >= 0.05
        least = _PASS_SHARE_HINTED if hinted else (0.95 if weak else _PASS_SHARE)
        return passed >= least * n and surprise < (1e-3 if hinted else 1e-9)


def _validator(scheme: Scheme) -> Callable[[str], bool]:
    if not scheme.module:
        return bool  # the form was enough, and no value is empty
    module = import_module(f"stdnum.{scheme.module}")

    def accepts(value: str) -> bool:
        try:
            return bool(module.is_valid(value))
        except (KeyError, IndexError, ValueError):
            # python-stdnum 2.2 looks some birthplaces up without a default (cn.ric).
            return False

    return accepts
