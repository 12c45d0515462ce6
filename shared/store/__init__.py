"""Where state lives: one small port and its adapters."""
