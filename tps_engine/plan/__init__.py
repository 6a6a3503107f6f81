"""Fields, spots and layers."""
