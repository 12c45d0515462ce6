"""A day in a contact centre, played on the real parts in a minute and reconciled in the end."""
