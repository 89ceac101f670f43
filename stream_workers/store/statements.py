"""The workers' statements by name. They stand in `queries.sql`, each with its reason."""

from pathlib import Path
from typing import Final

from servicekit import sql

QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))
