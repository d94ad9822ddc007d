"""`tickmux bus-keys`: the keys of the bus, and what a publisher needs of them."""

import shlex

import typer

from tickmux.cli.console import JsonOption, print_json
from tickmux.config import Settings
from tickmux.websocket_proxy.bus_keys import bus_keys as kept_keys


def bus_keys(as_json: JsonOption = False) -> None:
    """Show the bus' public key, who may publish, and what a publisher of your own needs.

    The keys are made when they are missing. They are files in TICKMUX_HOME/bus-keys; secret ones are never printed.

    Examples:

        tickmux bus-keys

        tickmux bus-keys --json
    """
    settings = Settings.load()
    keys = kept_keys(settings.tickmux_home)
    publishers = keys.publishers()
    mine = keys.folder / "publisher.key_secret"
    if as_json:
        print_json(
            {
                "folder": str(keys.folder),
                "server_public_key": keys.server.public.decode(),
                "publisher_key_file": str(mine),
                "publishers": {name: key.decode() for name, key in publishers.items()},
            }
        )
        return
    lines = [
        f"public key of the server   {keys.server.public.decode()}",
        f"                           in {shlex.quote(str(keys.folder / 'server.key'))}",
        f"key pair for publishers    in {shlex.quote(str(mine))}",
        f"who may publish            each public key in {shlex.quote(str(keys.folder / 'publishers'))}:",
        *(f"                           {name}  {key.decode()}" for name, key in publishers.items()),
        "",
        "A publisher on another machine needs copies of server.key and publisher.key_secret, or a key pair of its",
        "own (`zmq.auth.create_certificates`) whose .key file is put into publishers. In Python:",
        "",
        "  import zmq",
        "  from zmq.auth import load_certificate",
        "",
        "  socket = zmq.Context.instance().socket(zmq.PUB)",
        f"  socket.curve_publickey, socket.curve_secretkey = load_certificate({str(mine)!r})",
        f"  socket.curve_serverkey, _ = load_certificate({str(keys.folder / 'server.key')!r})",
        f"  socket.connect('tcp://{settings.zmq_host}:{settings.zmq_port}')",
        "",
        "The bus is open with `tickmux serve --external`. OpenAlgo's adapters have no keys: ZMQ_PLAIN=loopback lets",
        "publishers on this machine in without.",
    ]
    typer.echo("\n".join(lines))
