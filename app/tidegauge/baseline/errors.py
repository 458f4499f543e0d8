"""What can be wrong with the data a baseline is made from."""


class BaselineError(ValueError):
    """The file or the options given cannot make a baseline; the message says what to change."""
