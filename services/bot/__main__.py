"""Runs the bot service: `python -m services.bot`."""

from __future__ import annotations

from services.bot.service import main

if __name__ == "__main__":
    main()
