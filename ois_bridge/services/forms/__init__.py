"""Forms: their designs, what is filled in, verdicts, signatures, print."""
