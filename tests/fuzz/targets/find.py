"""What there is to fuzz: found, not listed by hand, wherever it can be found."""

from __future__ import annotations

from functools import cache

from shared.channels.discover import channel_names
from tests.flow.house import rules
from tests.fuzz.channels import channels
from tests.fuzz.oracle import Target
from tests.fuzz.targets.answers import Answers
from tests.fuzz.targets.configuration import Configuration
from tests.fuzz.targets.readers import Readers
from tests.fuzz.targets.reducers import Reducers
from tests.fuzz.targets.sends import Sends
from tests.fuzz.targets.webhooks import Webhooks
from tests.fuzz.targets.wires import Wires


@cache
def targets() -> dict[str, Target]:
    """Return every target by its name."""
    found: list[Target] = [Webhooks(channel) for channel in channel_names()]
    for channel in channels().by_name.values():
        found += [Answers(channel), Sends(channel)]
    found += [Reducers(reducer) for reducer in rules()[2]]
    found += [Readers(), Configuration(), Wires()]
    return {target.name: target for target in found}
