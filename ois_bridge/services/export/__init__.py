"""The record of a patient on paper, as tables and as a package, limited to what the caller may see."""
