"""Runs the sla service: `python -m services.sla`."""

from __future__ import annotations

from services.sla.service import main

if __name__ == "__main__":
    main()
