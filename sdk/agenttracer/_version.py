"""The version of this SDK, as batches carry it. A test holds it equal to the package's metadata."""

from typing import Final

__version__: Final = "0.1.0"
SDK_NAME: Final = f"python/{__version__}"
