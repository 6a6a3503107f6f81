"""The OIS's tables (SQLAlchemy) and their migrations."""
