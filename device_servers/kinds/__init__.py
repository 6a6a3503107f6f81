"""What device classes of one behaviour have in common."""
