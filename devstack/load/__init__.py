"""An open-loop load generator: requests leave at their intended moments, and latencies are measured from those."""
