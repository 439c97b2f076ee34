"""Sample recordings, and how they were made."""
