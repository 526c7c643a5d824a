"""Addresses of the net and names made by machines: e-mail, URL, IP, MAC, UUID, digests."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined

_EMAIL = re.compile(r"[\w.+%'-]{1,64}@(?:[\w](?:[\w-]{0,61}[\w])?\.)+[^\W\d_]{2,24}\b")
_URL = re.compile(r"(?:https?|ftp)://[^\s/$.?#][^\s]*|www\.[\w-]+\.[a-z]{2,}[^\s]*", re.IGNORECASE)
_MAC = re.compile(
    r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE
)
_UUID = re.compile(r"\{?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\}?", re.IGNORECASE)
_DIGEST = re.compile(
    r"(?=[^ ]*[a-f])(?=[^ ]*\d)(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{128})",
    re.IGNORECASE,
)


class Email:
    """E-mail addresses (RFC 5321's usual form), alone or within longer text; a few are enough."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER
    least: ClassVar[float] = 0.01

    def examine(self, column: Examined) -> Detection | None:
        """At least one in a hundred distinct values holds an address."""
        if not column.textual:
            return None
        passed = column.passing(lambda value: "@" in value and _EMAIL.search(value) is not None)
        if not passed or passed < self.least * len(column.values):
            return None
        return column.detection("email", passed, "hold an e-mail address")


class _Shaped:
    """Values of one strict form, in texts."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER
    kind: ClassVar[str]
    how: ClassVar[str]
    least: ClassVar[float] = 0.5

    def accepts(self, value: str) -> bool:
        """Whether a value has the form."""
        raise NotImplementedError

    def examine(self, column: Examined) -> Detection | None:
        """At least the share :attr:`least` of the distinct values has the form."""
        if not column.textual:
            return None
        passed = column.passing(self.accepts)
        if not passed or passed < self.least * len(column.values):
            return None
        return column.detection(self.kind, passed, self.how)


class Url(_Shaped):
    """Web addresses: a profile or a document of one person."""

    kind, how = "url", "are web addresses"

    def accepts(self, value: str) -> bool:
        """An http, https or ftp URL, or one that begins with www."""
        return _URL.fullmatch(value) is not None


class IpAddress(_Shaped):
    """IPv4 and IPv6 addresses, with a prefix length or not."""

    kind, how = "ip-address", "are IPv4 or IPv6 addresses"

    def accepts(self, value: str) -> bool:
        """Whatever the standard library reads as an address or interface."""
        if "." not in value and ":" not in value:
            return False
        try:
            ipaddress.ip_interface(value)
        except ValueError:
            return False
        return True


class MacAddress(_Shaped):
    """Hardware addresses of six bytes."""

    kind, how = "mac-address", "are MAC addresses"

    def accepts(self, value: str) -> bool:
        """Six bytes in hex, parted by colons, hyphens or dots."""
        return _MAC.fullmatch(value) is not None


class Uuid(_Shaped):
    """Universally unique identifiers (RFC 9562)."""

    kind, how = "uuid", "are UUIDs"

    def accepts(self, value: str) -> bool:
        """The form 8-4-4-4-12 in hex."""
        return _UUID.fullmatch(value) is not None


class HexDigest(_Shaped):
    """Digests such as MD5 or SHA-256: a bare digest of an identifier still identifies."""

    kind, how = "hex-digest", "have the form of a digest in hex"

    def accepts(self, value: str) -> bool:
        """The length of a usual digest, in hex, with letters and digits."""
        return _DIGEST.fullmatch(value) is not None
