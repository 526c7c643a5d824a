"""Python imports this at its start: projects of processes that find it have known secrets."""

from known_secrets import knowing
from sfumato.project import keys

keys.create = knowing(keys.create)
