"""The text of PostgreSQL's configuration files. Pure."""

from agenttracer_cli.local_stack.ports import LOOPBACK


def postgresql_conf(*, port: int) -> str:
    """Give `postgresql.conf`: loopback only, durable, and a log that never holds a value of a row."""
    settings = {
        "listen_addresses": LOOPBACK,
        "port": port,
        "unix_socket_directories": "",  # a deep state directory would exceed the 107 bytes that a socket's path may have
        "max_connections": 200,
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Durability is what the stack is for.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        # An error's text, detail, statement and parameters can all carry values of rows: log none of them. Clients get their
        # errors all the same; level `log` keeps starts, crashes, checkpoints and failed logins.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_parameter_max_length": 0,
        "log_parameter_max_length_on_error": 0,
        "log_error_verbosity": "terse",
        "log_statement": "none",
        "log_min_duration_statement": -1,
        "logging_collector": "off",  # standard error goes to the state directory's log
    }
    return "".join(f"{name} = '{value}'\n" for name, value in settings.items())


def pg_hba_conf() -> str:
    """Give `pg_hba.conf`: everybody shows a password, from loopback only."""
    return f"host all all {LOOPBACK}/32 scram-sha-256\n"
