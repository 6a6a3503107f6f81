"""Views: windows and widgets."""
