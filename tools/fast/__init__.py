"""The fast loop of a developer, ``make fast``: the tests nearest to a change, within a minute."""
