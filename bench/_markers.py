"""The part of a document that a benchmark writes."""


def replace_part(document: str, begin: str, end: str, part: str) -> str:
    r"""Put ``part`` between the markers ``begin`` and ``end`` of a document.

    Raises ``ValueError`` unless each marker is there once, in order.

    >>> replace_part("a\n<!-- b -->\nold\n<!-- e -->\nb", "<!-- b -->", "<!-- e -->", "new")
    'a\n<!-- b -->\nnew\n<!-- e -->\nb'
    """
    if document.count(begin) != 1 or document.count(end) != 1:
        raise ValueError(f"the document must have the lines {begin!r} and {end!r} once each")
    before, rest = document.split(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{end!r} comes before {begin!r}")
    return f"{before}{begin}\n{part}\n{end}{after}"
