"""Monte Carlo transport of protons in voxels: class II condensed history with nuclear interactions."""
