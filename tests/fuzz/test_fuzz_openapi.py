"""Ingest keeps what its OpenAPI document says, whatever schemathesis makes of it."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS

from services.ingest.http import create_app
from shared.channels.discover import channel_names
from shared.clock import ManualClock
from tests.channels.fixture_cases import RECEIVED_AT
from tests.fuzz.channels import TRUSTED, accounts, channels
from tests.fuzz.logs import captured_logs
from tests.fuzz.targets.webhooks import Intake

EXAMPLES = 40
NOT_OURS = frozenset({"positive_data_acceptance", "negative_data_rejection"})
"""A body is the channel's own affair: one that nobody signed is refused however good it is, one that was signed is never refused."""
CHECKED = [check for name, check in ((name, CHECKS.get_one(name)) for name in CHECKS.get_all_names()) if name not in NOT_OURS]

INTAKE = Intake()
APP = create_app(channels=channels(), accounts=accounts(), publish=INTAKE.publish, clock=ManualClock(RECEIVED_AT), metrics=INTAKE)
DOCUMENT = APP.openapi()
for path in DOCUMENT["paths"].values():
    path["parameters"][0]["schema"] = {"enum": [*channel_names(), "nobody"]}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.app = APP
QUIET = settings(
    max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)


@SCHEMA.parametrize()
@QUIET
def test_ingest_keeps_its_document(case: schemathesis.Case) -> None:
    """Statuses, content types and methods, signed and not; no answer is a fault of ours."""
    with captured_logs():
        case.call_and_validate(checks=CHECKED)
        case.call_and_validate(checks=CHECKED, headers={TRUSTED: "1"})
