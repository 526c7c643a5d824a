"""What happens to a table: privacy models, and the searches for recodings that satisfy them."""

from sfumato.core.registry import Registry

MODELS = Registry("privacy model", {"k-anonymity": "sfumato.anonymity.models.k_anonymity:KAnonymity"})

MEASURES = Registry("measure", {"loss": "sfumato.anonymity.measures.loss:Loss"})
