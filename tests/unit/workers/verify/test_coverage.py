"""The ledger held against the log."""

from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.verify.coverage import LedgerRow, judge


def test_a_ledger_that_covers_the_log_is_right() -> None:
    """Nothing lags, nothing is wrong."""
    found = judge(0, LedgerRow([(0, 10)], []), LogRange(0, 10))
    assert (found.readable, found.lag, found.wrong) == ([(0, 10)], 0, False)


def test_lag_is_not_wrong() -> None:
    """What lies after the ledger's end will come; a partition without a row lags as a whole, from where its log begins."""
    assert (judge(0, LedgerRow([(0, 7)], []), LogRange(0, 10)).lag, judge(0, LedgerRow([(0, 7)], []), LogRange(0, 10)).wrong) == (
        3,
        False,
    )
    assert judge(0, LedgerRow([], []), LogRange(4, 10)).lag == 6


def test_what_retention_deleted_is_named_and_not_wrong() -> None:
    """Covered before the log's beginning: deleted. Lost, as the ledger says: lost."""
    found = judge(0, LedgerRow([(0, 4), (6, 10)], [(4, 6)]), LogRange(8, 10))
    assert (found.deleted, found.lost, found.readable) == ([(0, 4), (6, 8)], [(4, 6)], [(8, 10)])
    assert not found.wrong


def test_what_is_said_to_be_lost_is_looked_for_where_the_log_reaches() -> None:
    """Before the log's beginning there is nothing to look for."""
    assert judge(0, LedgerRow([(0, 2), (8, 10)], [(2, 8)]), LogRange(5, 10)).lost_in_log == [(5, 8)]
    assert judge(0, LedgerRow([(3, 5)], [(0, 3)]), LogRange(5, 5)).lost_in_log == []


def test_a_hole_an_overlap_and_a_cut_log_are_wrong() -> None:
    """Each by its name."""
    assert judge(0, LedgerRow([(0, 3), (5, 9)], []), LogRange(0, 9)).holes == [(3, 5)]
    assert judge(0, LedgerRow([(2, 9)], []), LogRange(0, 9)).holes == [(0, 2)]
    assert judge(0, LedgerRow([(0, 9)], [(3, 4)]), LogRange(0, 9)).overlaps == [(3, 4)]
    cut = judge(0, LedgerRow([(0, 9)], []), LogRange(0, 5))
    assert (cut.past_the_end, cut.wrong) == ([(5, 9)], True)
