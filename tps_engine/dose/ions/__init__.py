"""Pencil beams of ion machines: influence matrices with biology, and forward dose."""
