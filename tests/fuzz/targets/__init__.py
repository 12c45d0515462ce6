"""The parsers and consumers under test, one module per kind; `find.py` lists what this installation has of them."""
