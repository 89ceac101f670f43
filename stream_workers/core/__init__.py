"""The meaning of events, pure: no I/O, no clock, no logging, no async. Imports the contract, nothing third-party."""
