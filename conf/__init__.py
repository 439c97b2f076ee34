"""The configuration, and the tasks it dispatches to."""
