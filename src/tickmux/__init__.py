"""One WebSocket for live market data from 29 Indian brokers."""

__version__ = "0.1.0"
