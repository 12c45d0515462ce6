"""Replays what was put aside: reads the letters, works out what each becomes, and publishes in an order that harms nothing."""
