"""What happens to a table: privacy models, and the searches for recodings that satisfy them."""

from sfumato.core.registry import Registry

MODELS = Registry(
    "privacy model",
    {
        "k-anonymity": "sfumato.anonymity.models.k_anonymity:KAnonymity",
        "k-map": "sfumato.anonymity.models.k_map:KMap",
        "l-diversity": "sfumato.anonymity.models.l_diversity:LDiversity",
        "t-closeness": "sfumato.anonymity.models.t_closeness:TCloseness",
        "delta-disclosure": "sfumato.anonymity.models.delta_disclosure:DeltaDisclosure",
        "beta-likeness": "sfumato.anonymity.models.beta_likeness:BetaLikeness",
        "delta-presence": "sfumato.anonymity.models.delta_presence:DeltaPresence",
        "alpha-k": "sfumato.anonymity.models.alpha_k:AlphaK",
        "p-sensitive": "sfumato.anonymity.models.p_sensitive:PSensitive",
        "average-risk": "sfumato.anonymity.models.average_risk:AverageRisk",
        "highest-risk": "sfumato.anonymity.models.highest_risk:HighestRisk",
        "sample-uniqueness": "sfumato.anonymity.models.sample_uniqueness:SampleUniqueness",
        "population-uniqueness": "sfumato.anonymity.models.population_uniqueness:PopulationUniqueness",
    },
)

MEASURES = Registry(
    "measure",
    {
        "loss": "sfumato.anonymity.measures.loss:Loss",
        "entropy": "sfumato.anonymity.measures.entropy:Entropy",
        "discernibility": "sfumato.anonymity.measures.discernibility:Discernibility",
        "average-class-size": "sfumato.anonymity.measures.average_class_size:AverageClassSize",
        "precision": "sfumato.anonymity.measures.precision:Precision",
        "ambiguity": "sfumato.anonymity.measures.ambiguity:Ambiguity",
        "kl-divergence": "sfumato.anonymity.measures.kl_divergence:KLDivergence",
        "classification": "sfumato.anonymity.measures.classification:Classification",
    },
)
