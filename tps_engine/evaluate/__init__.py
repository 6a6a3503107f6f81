"""Dose-volume histograms, gamma, centroids."""
