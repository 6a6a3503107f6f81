"""The EPICS gateway: every attribute of the site as a process variable over pvAccess and Channel Access."""
