"""The channels' side for development: a process that speaks for the vendors, enforces their rules and signs their webhooks.

It shares no code with the platform, so that a rule misunderstood there is not misunderstood here as well.
One folder per vendor; what every vendor needs (log, clock, delivery of webhooks, control interface) is beside them.
"""
