"""The same job done in several ways: a module each, with `run(contest)`; `python -m tests.bench.backlog NAME …` runs one.

All read the same kind of topic, decide by the same rules and write the same outputs with acks=all.
"""
