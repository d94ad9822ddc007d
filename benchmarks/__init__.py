"""`python -m benchmarks`: the proxy's CPU a delivery and its latency, against a bare C sender. Linux and gcc only.

__main__.py      what is measured, in which order, and the command line
measuring.py     one run: a server, its source of ticks, the load client, one window
processes.py     the processes that take part: building, starting, asking, their CPU
report.py        the table and the verdict
proxy_process.py the server under test: tickmux's WebSocketProxy in a process of its own
bus_publisher.py a feed of another process, on the bus
kite_stub.py     a broker that sends Kite's binary packets
load_client.c    the clients
bare_server.c    the yardstick
"""
