"""The official `pocketful` SDK as a process of its own: subscribes on all channels, then tells what it has read.

Arguments: folder of the SDK, base address, client id, access token. Standard input: one JSON line, a list of
[exchange code, token]. Standard output, past what the SDK itself prints: one line `READ {…}`, channel -> raw numbers.
"""

import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])

from pocketful.pocketfulwebsocket import PocketfulSocket


def main(base: str, client_id: str, token: str) -> None:
    pairs = json.loads(sys.stdin.readline())
    wanted = [{"exchangeCode": code, "instrumentToken": number} for code, number in pairs]
    PocketfulSocket.base_url = base
    socket = PocketfulSocket(client_id, token)
    if not socket.run_socket():
        print("REFUSED", flush=True)
        os._exit(0)
    channels = {
        "compact_marketdata": (
            socket.subscribe_multiple_compact_marketdata,
            socket.read_multiple_compact_marketdata,
        ),
        "marketdata": (socket.subscribe_multiple_detailed_marketdata, socket.read_multiple_detailed_marketdata),
        "full_snapquote": (socket.subscribe_multiple_snapquote_data, socket.read_multiple_snapquote_data),
    }
    for subscribe, _ in channels.values():
        subscribe(wanted)
    while not all(len(read()) == len(wanted) for _, read in channels.values()):
        time.sleep(0.01)
    print("READ " + json.dumps({name: read() for name, (_, read) in channels.items()}), flush=True)
    os._exit(0)  # its threads never end


if __name__ == "__main__":
    main(*sys.argv[2:])
