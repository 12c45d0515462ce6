"""The engine that keeps state right: load → decide → save → publish → commit, written once for all reducers."""
