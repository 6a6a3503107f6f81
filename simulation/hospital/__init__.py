"""Other systems of a hospital, simulated: what the OIS reads from them."""
