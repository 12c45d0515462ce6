"""The events and commands on the topics: one module per topic, one discriminated union per topic."""
