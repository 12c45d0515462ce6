"""Runs the router service: `python -m services.router`."""

from __future__ import annotations

from services.router.service import main

if __name__ == "__main__":
    main()
