"""The configuration people write: who answers whom, when, in which language, and what was promised."""
