"""One writer for each dataset format."""
