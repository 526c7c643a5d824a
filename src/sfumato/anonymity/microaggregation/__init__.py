"""Microaggregation: classes of at least k rows that lie together, each row given its class's value.

ISO/IEC 20889, 11.2. Every function here takes points (what
:mod:`~sfumato.anonymity.microaggregation.coordinates` makes of columns) and gives class numbers; the same
input always gives the same classes. Over quasi-identifiers they are k-anonymous by construction; over
sensitive numbers, one by one or together, they keep the distribution and blur the person.
"""

from sfumato.anonymity.microaggregation.closeness import close
from sfumato.anonymity.microaggregation.cluster import cluster
from sfumato.anonymity.microaggregation.mdav import mdav, vmdav
from sfumato.anonymity.microaggregation.points import loss
from sfumato.anonymity.microaggregation.univariate import univariate, univariate_units
from sfumato.anonymity.microaggregation.values import aggregate

__all__ = ["aggregate", "close", "cluster", "loss", "mdav", "univariate", "univariate_units", "vmdav"]
