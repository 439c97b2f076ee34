"""The fast twin: rollouts of many candidates at once, in compiled kernels."""
