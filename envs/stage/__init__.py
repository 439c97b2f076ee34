"""From USD and URDF to a plain typed scene, and back into USD layers."""
