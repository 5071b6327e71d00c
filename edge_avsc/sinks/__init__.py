"""Where estimates and events go: the terminal and JSON lines."""

from edge_avsc.sinks.base import OutputClosedError, Sink

__all__ = ["OutputClosedError", "Sink"]
