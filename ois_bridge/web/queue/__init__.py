"""Pages of the queue: therapists, front desk, kiosk, screens."""
