"""Transports for the upper floors: DIMSE, HTTP, wire clients, the durable outbox, the PDF renderer."""
