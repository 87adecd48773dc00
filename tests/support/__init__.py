"""What the tests share: a PostgreSQL, the development provider, the errand binary. One noun a file."""
