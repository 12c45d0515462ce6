"""Outbound: sends what was approved, at most once, at the pace the channel allows, and says what became of it."""
