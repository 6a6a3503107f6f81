"""The archive in PostgreSQL, in the tables of HDB++, for a site that outgrows one machine."""
