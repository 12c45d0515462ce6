"""The bot: answers customers by the flows and the FAQ of the contact centre, and hands over to people in time."""
