"""The story of a thread: finds it, collects what concerns it from the topics, orders it, and tells it."""
