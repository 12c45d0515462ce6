"""sla: watches each channel's reply window and each promise to the customer, and decides in which form an answer may go out."""
