"""Examples of what each detector of names hits and leaves: the page shows them, and the tests hold them true."""

from typing import Final, NamedTuple


class Examples(NamedTuple):
    """Texts of one detector."""

    hits: tuple[str, ...]
    leaves: tuple[str, ...]
    """What it might be thought to hit, and no detector does."""


EXAMPLES: Final = {
    "secret": Examples(
        ("AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c8383", "xoxb-1234567890-abcdef", "-----BEGIN PRIVATE KEY-----"),
        ("sk-learn-pipeline", "github_create_issue", "get_secret", "risk-assessment-agent-for-private-banking"),
    ),
    "url": Examples(
        ("https://user:pw@example.com/x", "https://example.com/search?q=flights"),
        ("https://example.com/agents/refund", "GET-/users/:id", "mcp://files/read"),
    ),
    "email": Examples(
        ("jane.doe@example.com", "jane.doe-at-example.com", "jane_at_example_dot_com", "jane:gmail.com"),
        ("send-email", "gmail_search", "look_at_page", "claude-3-5-sonnet@20240620", "at_risk_check"),
    ),
    "iban": Examples(
        ("DE89370400440532013000", "gb29-NWBK-6016-1331-9268-19"),
        ("de12-translation-agent", "GB29_handler_for_all_countries"),
    ),
    "card": Examples(
        ("4111111111111111", "pay-5500-0000-0000-0004", "3782:822463:10005"),
        ("4111111111111112", "1768469400000", "1768469400050000", "gpt-4-0125-2024-07-18"),
    ),
    "national_id": Examples(
        ("078-05-1120", "ssn_219099999", "check:219.09.9999"),
        ("2024-07-18", "000-12-3456", "gpt-4o-2024-05-13"),
    ),
    "phone": Examples(
        ("+4915112345678", "call-+1-415-555-2671", "415-555-2671", "tel:4915112345678"),
        ("1.2.3+20240718", "gpt-4-32k-0613", "order-4711", "claude-3-5-sonnet-20241022"),
    ),
    "ipv4": Examples(
        ("10.0.0.12", "host-192-168-1-100", "ip-10-0-0-12"),
        ("tool-v1.2.3.4", "1.2.3", "2024-07-18-12-30-45", "step-1-2-3-4"),
    ),
    "ipv6": Examples(
        ("2001:db8::8a2e:370:7334", "fe80::1"),
        ("std::vector", "12:30:45", "b::a", "0af76519-16cd-43dd-8448-eb211c80319c"),
    ),
    "prose": Examples(
        ("please refund the order today", "please-refund-the-order-of-the-customer", "one-two-three-four-five-six-seven-eight"),
        ("Triage Agent", "execute_tool get_weather", "get_the_list_of_all_users", "gpt-4o-mini-2024-07-18", "text-to-speech"),
    ),
    "entropy": Examples(
        ("x8Kd93mZpQ2vT7wLr5Yb", "deploy-9fQ2xLm7Tz4Rw8Kc1VbN"),
        ("0af7651916cd43dd8448eb211c80319c", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", "OutputParserException"),
    ),
}
"""By the detector's name."""
