"""Dose engines: influence matrix and forward dose."""
