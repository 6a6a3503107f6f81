"""Use cases of the OIS; what leaves the house goes through Protocols declared here."""
