"""The rules of outbound, without waiting: what to do with a send next, when to try again, whose turn it is."""
