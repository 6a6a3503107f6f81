"""Treatment control as pure logic: session table, delivery map, dose accounting, journal, record."""
