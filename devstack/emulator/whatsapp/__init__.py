"""WhatsApp Business Platform, Cloud API, as Meta would answer it.

`rules` decides, `requests` and `contents` read what is sent, `inbound`, `statuses` and `envelope` make what Meta would post,
`behaviour` and `faults` say what goes wrong, `world` holds the state, `server` and `control` are the two doors.
"""
