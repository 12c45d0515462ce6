"""Faults on the way between two processes: a TCP proxy that delays, throttles, swallows, holds and cuts, switched while it runs."""
