"""Whatever is said of counting is said of both decoders."""

from support.decoders import decoder  # noqa: F401
