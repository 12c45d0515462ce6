"""The router's rules: pure functions by verb. Nothing here waits, reads a clock or draws a number."""
