"""Every Tango class of PTCS, and nothing else."""
