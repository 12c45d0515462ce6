"""The generated pages: `python -m cli.docs` writes them, `--check` says which no longer follow from the code."""
