"""How healthy the facility is: devices rolled up into subsystems, and which server holds what."""
