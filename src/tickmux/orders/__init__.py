"""Account streams: what has become of a user's orders, told once, in order, and to nobody else."""
