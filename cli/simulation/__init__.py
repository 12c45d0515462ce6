"""A contact centre in simulated time: the real rules and the real configuration, people and channels on a script with a seed."""
