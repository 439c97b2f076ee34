"""What was recorded, what exists and how it moves."""
