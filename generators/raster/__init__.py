"""A visibility-buffer rasteriser in NVIDIA Warp: one source of kernels for CPU and CUDA."""
