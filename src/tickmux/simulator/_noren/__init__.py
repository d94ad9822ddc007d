"""The Noren family, simulated: `server` is the broker, the others its wire and lists."""
