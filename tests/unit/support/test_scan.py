"""The scanner finds what is hidden in any of its forms, or finding nothing would mean nothing."""

import base64
import gzip
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import cramjam
import pytest

from tests.support.firewall.canaries import Canaries
from tests.support.firewall.scan import Scanner, files

FORMS: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "lower case": lambda text: text.lower().encode(),
    "upper case": lambda text: text.upper().encode(),
    "reversed": lambda text: text[::-1].encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "upper hex": lambda text: text.encode().hex().upper().encode(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "escaped": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text).encode(),
    "upper escaped": lambda text: "".join(f"\\u{ord(sign):04X}" for sign in text).encode(),
    "percent": lambda text: "".join(f"%{ord(sign):02X}" for sign in text).encode(),
    "quoted": lambda text: quote(f"a b/{text}?").encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()),
}
LAYERS: dict[str, Callable[[bytes], bytes]] = {
    "bare": bytes,
    "gzip": gzip.compress,
    "zlib": lambda data: zlib.compress(data, 9),
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "gzip in zstd": lambda data: bytes(cramjam.zstd.compress(gzip.compress(data))),
    "bytea": lambda data: b"'\\x" + data.hex().encode() + b"'",
    "torn gzip": lambda data: gzip.compress(data)[:-7],
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("form", FORMS)
def test_any_form_in_any_layer_is_found_and_named(form: str, layer: str) -> None:
    """At each of three alignments, among noise, every canary is found and told by its number."""
    for ahead in ("", "x", "xy"):
        sing = Canaries()
        hidden = b"; ".join(FORMS[form](f"{ahead}{sing.token()} and more") for _ in range(20))
        noise = random.Random(1).randbytes(5_000)
        found = Scanner(sing).scan([("here", noise + LAYERS[layer](hidden) + noise)])
        assert found.numbers >= set(range(20))


def test_another_set_is_not_found() -> None:
    """Two sets have nothing in common, so one test's canaries never look like another's."""
    sing, other = Canaries(), Canaries()
    assert not Scanner(sing).scan([("here", other.text().encode() * 1_000)])


def test_files_are_searched_with_their_names_and_beyond_empty_pages(tmp_path: Path) -> None:
    """In names, at the end of sparse files, across the border of pages, and in folders below."""
    sing = Canaries()
    (tmp_path / f"{sing.token()}.log").touch()
    (tmp_path / "below").mkdir()
    sparse = tmp_path / "below" / "sparse"
    with sparse.open("wb") as file:
        file.write(bytes(4_090) + sing.token().encode())
        file.seek(10_000_000)
        file.write(sing.token().encode())
    assert sparse.stat().st_size > 10_000_000
    found = Scanner(sing).scan(files(tmp_path))
    assert found.numbers == {0, 1, 2}
    assert found.searched_bytes < 100_000
    assert os.fspath(Path("below") / "sparse") + " (raw)" in found.places
