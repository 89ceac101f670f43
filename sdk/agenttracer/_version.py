"""The SDK's version, as every batch carries it. A test holds it equal to the package's metadata."""

from typing import Final

__version__: Final = "0.1.0"
