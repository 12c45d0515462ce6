"""The channels: a folder each, all of the same shape (see contract.py); they are discovered, not registered."""
