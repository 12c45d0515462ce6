"""The bot's rules: pure, and told everything they need."""
