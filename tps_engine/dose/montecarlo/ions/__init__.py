"""Monte Carlo transport of helium and carbon in voxels: condensed history with fragmentation."""
