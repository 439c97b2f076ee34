"""The PyBullet world, its actuators, and replay."""
