"""Benchmarks: what the parts cost on this machine, each figure beside the baseline of the same run."""
