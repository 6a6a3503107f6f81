"""Maintenance of the components: register, hours, plan, work orders, and what must be re-validated."""
