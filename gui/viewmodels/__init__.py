"""What panels show, without Qt."""
