"""Takes the channels' webhooks in: verify, parse, publish, and only then say 200. It keeps no state."""
