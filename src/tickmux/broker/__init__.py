"""The brokers: one folder each, found by name.

What several share lives in a folder of its own that begins with an underscore; only a broker's sandbox imports from
its broker.
"""
