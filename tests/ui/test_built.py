"""What is served is what the source builds to, it is small enough, and it names no other host."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest

from docs.generate import openapi_document
from hatch_build import UI, npm
from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from servicekit.testing import MemoryKeys, cache_of
from tests.support.served import served

SCRIPT_MOST = 60_000
STYLE_MOST = 15_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of its own, from the source as it is."""
    folder = tmp_path_factory.mktemp("built") / "dist"
    npm(["run", "--silent", "build", "--", "--logLevel=error", f"--outDir={folder}", "--emptyOutDir"])
    return folder


def test_what_is_served_is_what_the_source_builds_to(built: Path) -> None:
    """File by file and byte by byte, over HTTP."""
    files = sorted(path for path in built.rglob("*") if path.is_file() and path.suffix not in {".br", ".gz"})
    assert len(files) >= 4
    with served(create_app(QuerySettings(), FakeStore(), keys=cache_of(MemoryKeys()))) as url:
        for path in files:
            name = path.relative_to(built).as_posix().replace("index.html", "")
            answer = httpx.get(f"{url}/{name}")
            assert answer.status_code == 200, name
            assert hashlib.sha256(answer.content).digest() == hashlib.sha256(path.read_bytes()).digest(), name


def test_the_first_load_is_small(built: Path) -> None:
    """What the document itself names, as gzip packs it."""
    document = (built / "index.html").read_text(encoding="utf-8")
    sizes = {name: len(gzip.compress((built / name).read_bytes())) for name in re.findall(r"assets/[\w.-]+", document)}
    assert sum(size for name, size in sizes.items() if name.endswith(".js")) <= SCRIPT_MOST, sizes
    assert sum(size for name, size in sizes.items() if name.endswith(".css")) <= STYLE_MOST, sizes


def test_nothing_of_it_names_another_host(built: Path) -> None:
    """Neither an address to load from, nor one in the lock of the packages that it is built with."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in built.rglob("*") if path.suffix in {".js", ".css", ".html"})
    hosts = set(re.findall(r"https?://([\w.-]+)", text)) - {"www.w3.org", "127.0.0.1", "GATEWAY"}
    assert hosts == set()
    lock = json.loads((UI / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


def test_the_source_is_checked() -> None:
    """Types generated from the API as it is, strict compilation, rules, form, and the tests of pure layout."""
    openapi_document.DOCUMENT.write_text(json.dumps(openapi_document.document()), encoding="utf-8")
    npm(["run", "--silent", "types"])
    npm(["run", "--silent", "check"])
