"""What happens to a column: one file a transform."""

from sfumato.core.registry import Registry

TRANSFORMS = Registry(
    "transform",
    {
        "keep": "sfumato.transforms.keep:Keep",
        "drop": "sfumato.transforms.drop:Drop",
        "pseudonymize": "sfumato.transforms.pseudonymize:Pseudonymize",
        "mask": "sfumato.transforms.mask:Mask",
        "generalize": "sfumato.transforms.generalize:Generalize",
        "round": "sfumato.transforms.round:Round",
        "top-bottom-code": "sfumato.transforms.top_bottom_code:TopBottomCode",
        "microaggregate": "sfumato.transforms.microaggregate:Microaggregate",
        "suppress-items": "sfumato.transforms.suppress_items:SuppressItems",
        "truncate-date": "sfumato.transforms.truncate_date:TruncateDate",
    },
)
