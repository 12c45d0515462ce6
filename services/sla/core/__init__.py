"""The rules of sla: pure functions of the thread's state, the event and the time. `thread.py` is where they meet."""
