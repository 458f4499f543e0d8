"""The record of poison on which a mutation lets work fail; apart, as mutated workers import it."""

#: Neither JSON nor anything else.
UNFORESEEN = b"\x01 of all records this one was not foreseen"
