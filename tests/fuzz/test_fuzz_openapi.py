"""Ingest keeps what its OpenAPI document says, whatever schemathesis makes of it."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from services.ingest.http import create_app
from shared.channels.discover import channel_names
from shared.clock import ManualClock
from tests.channels.fixture_cases import RECEIVED_AT
from tests.fuzz.channels import TRUSTED, accounts, channels
from tests.fuzz.logs import captured_logs
from tests.fuzz.targets.webhooks import Intake

EXAMPLES = 40
NOT_OURS: list[Any] = [positive_data_acceptance, negative_data_rejection]
"""A body is the channel's own affair: one that nobody signed is refused however good it is, one that was signed is never refused."""

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
def test_ingest_keeps_its_document(case: schemathesis.Case[Any]) -> None:
    """Statuses, content types and methods, signed and not; no answer is a fault of ours."""
    with captured_logs():
        case.call_and_validate(excluded_checks=NOT_OURS)
        case.call_and_validate(excluded_checks=NOT_OURS, headers={TRUSTED: "1"})
