"""Detectors: what kinds of identifiers a column holds, from its distinct values first.

A new detector is one class with the shape of :class:`~sfumato.inventory.detectors.base.Detector` and
one line in :data:`DETECTORS`.
"""

from sfumato.core.registry import Registry

_HERE = "sfumato.inventory.detectors"

DETECTORS = Registry(
    "detector",
    {
        "email": f"{_HERE}.network:Email",
        "url": f"{_HERE}.network:Url",
        "ip-address": f"{_HERE}.network:IpAddress",
        "mac-address": f"{_HERE}.network:MacAddress",
        "uuid": f"{_HERE}.network:Uuid",
        "hex-digest": f"{_HERE}.network:HexDigest",
        "iban": f"{_HERE}.money:Iban",
        "payment-card": f"{_HERE}.money:PaymentCard",
        "national-id": f"{_HERE}.national:NationalId",
        "phone": f"{_HERE}.phones:Phone",
        "person-name": f"{_HERE}.names:PersonName",
        "street-address": f"{_HERE}.places:StreetAddress",
        "postcode": f"{_HERE}.places:Postcode",
        "coordinates": f"{_HERE}.places:Coordinates",
        "date-of-birth": f"{_HERE}.dates:DateOfBirth",
        "date": f"{_HERE}.dates:Date",
        "free-text": f"{_HERE}.keys:FreeText",
        "record-code": f"{_HERE}.keys:RecordCode",
        "near-unique-key": f"{_HERE}.keys:NearUniqueKey",
    },
)
