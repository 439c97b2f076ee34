"""From a robot's log to a trajectory on one clock."""
