"""Parley's tests, benchmarks and checks."""
