"""Business calendars: when a shift runs and when a promise's clock counts.

A calendar is weekly opening hours in a time zone, minus holidays and breaks. All arithmetic is done on UTC instants, so a change
to or from summer time makes an hour longer or shorter exactly where the wall clock does.
"""

from __future__ import annotations
