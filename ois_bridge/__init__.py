"""The oncology information system: web, interfaces, services, models, domain."""
