"""What people and machines see of the running server: metrics, logs, the HTTP pages."""
