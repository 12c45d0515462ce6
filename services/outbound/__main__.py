"""Runs the outbound service: `python -m services.outbound`."""

from __future__ import annotations

from services.outbound.service import main

if __name__ == "__main__":
    main()
