"""What brokers see: a feed and its connections, which feed a user gets, and the processes that feeds run in."""
