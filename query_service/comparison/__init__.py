"""Whether two cohorts of runs differ: intervals, tests, and the measures that are compared. Pure."""
