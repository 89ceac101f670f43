"""`python -m tests.fuzz COUNT [--grpc] [--seed N] [--first INDEX]`: mutated requests against the gateway's app, with progress."""

import argparse
import asyncio
import secrets
import sys
import time

from tests.fuzz.gateway import BrokenPromiseError, Result, fuzz
from tests.fuzz.grpc_calls import fuzz_grpc


def main() -> int:
    """Exit code 1 at the first broken promise, with the command that shows it again."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--first", type=int, default=0, help="index of the first body")
    parser.add_argument("--grpc", action="store_true", help="messages of OTLP/gRPC, over a socket")
    given = parser.parse_args()
    began = time.monotonic()

    def progress(done: int, result: Result) -> None:
        rate = done / (time.monotonic() - began)
        told = f"{done:,} of {given.count:,}, {rate:,.0f}/s, {result.records:,} records, +{result.grown_bytes >> 20} MiB"
        print(f"\r{told}", end="", file=sys.stderr, flush=True)

    print(f"seed {given.seed}, from {given.first}", file=sys.stderr)
    try:
        result = asyncio.run(
            (fuzz_grpc if given.grpc else fuzz)(given.count, seed=given.seed, first=given.first, progress=progress)
        )
    except BrokenPromiseError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(
        f"\n{given.count:,} bodies, {result.records:,} records, at most {result.grown_bytes / 2**20:.0f} MiB more than at first"
    )
    for (url, status), number in sorted(result.statuses.items()):
        print(f"  {url}  {status}  {number:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
