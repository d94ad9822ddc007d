"""What all simulated brokers share: sockets, clients, subscriptions, HTTP, and a few of the wire's encodings."""
