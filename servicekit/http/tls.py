"""TLS of a service: its certificate and key, and nothing older than TLS 1.2."""

import ssl
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Tls(BaseModel):
    """A part of a service's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cert_file: Path | None = None
    """The chain in PEM, the service's own certificate first; None serves plain HTTP."""
    key_file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file come together")
        return self

    def uvicorn_arguments(self) -> dict[str, object]:
        """Keyword arguments of uvicorn.Config. Reads the files: raises OSError, ssl.SSLError."""
        if self.cert_file is None:
            return {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        return {"ssl_context_factory": lambda _config, _default: context}
