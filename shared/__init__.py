"""What the services share: events, topics, the engine, the store, the channels."""
