"""From a calibrated stage to labelled images."""
