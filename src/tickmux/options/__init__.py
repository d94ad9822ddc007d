"""Option maths: forwards out of a chain's prices, implied volatility, greeks. Pure."""
