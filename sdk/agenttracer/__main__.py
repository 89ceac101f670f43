"""`python -m agenttracer check`: sends one run and says what became of it."""

import argparse

from agenttracer._check import check


def main() -> int:
    """Run the command. 0: the run was accepted, and seen where that could be looked at."""
    parser = argparse.ArgumentParser(prog="python -m agenttracer", description="The AgentTracer SDK.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="send one run, and say where it went and whether it can be seen")
    checking.add_argument("--url", help="the gateway; else AGENTTRACER_API_URL or its default")
    checking.add_argument("--query-url", help="the query service; else the one of a local stack, if the gateway is local")
    given = parser.parse_args()
    return check(api_url=given.url, query_url=given.query_url)


if __name__ == "__main__":
    raise SystemExit(main())
