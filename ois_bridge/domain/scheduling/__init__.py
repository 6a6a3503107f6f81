"""When who may come to which device: pure, without clock and database."""
