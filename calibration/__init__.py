"""From residuals to a calibration layer."""
