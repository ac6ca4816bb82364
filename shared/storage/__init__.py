"""SQL: units of work, tenants kept apart, migrations."""
