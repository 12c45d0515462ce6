"""All faults by name, in the order of the list."""

from __future__ import annotations

from tests.chaos import faults_broker, faults_channel, faults_ingest, faults_process, faults_scale, faults_store, faults_time
from tests.chaos.trial import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *faults_ingest.FAULTS,
        *faults_process.FAULTS,
        *faults_broker.FAULTS,
        *faults_store.FAULTS,
        *faults_channel.FAULTS,
        *faults_time.FAULTS,
        *faults_scale.FAULTS,
    )
}
MIXED = tuple(fault for fault in FAULTS.values() if fault.mixed)
"""Faults that can come one after the other in one house."""
