"""The proxy: from the bus to the clients, and from their demand to the feeds. It knows no broker."""
