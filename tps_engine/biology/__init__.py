"""Biology: relative biological effectiveness of protons and RBE-weighted dose."""
