"""What several test modules share: a virtual clock, a fake link, a proxy with a client."""
