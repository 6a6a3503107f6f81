"""The engines' kernels on a CUDA device: the same compiled physics as on the processor cores."""
