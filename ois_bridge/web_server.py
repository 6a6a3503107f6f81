"""The web application on its ports: plain on the loopback interface, TLS for other computers."""

import socket
import ssl
import threading
from time import monotonic

import uvicorn
from fastapi import FastAPI

from common.errors import BadConfig
from ois_bridge.settings import Public

STOP_S = 1.4
"""A stop of the whole process has two seconds."""


class WebServer:
    """One listening socket and the thread that serves it."""

    def __init__(self, app: FastAPI, listener: socket.socket, public: Public | None = None) -> None:
        """`public`: serve TLS with its certificate. Raises BadConfig for one that cannot be used."""
        self._ends = 0.0
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # addresses may hold patient IDs
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,  # people think for longer than the usual five seconds between two pages
            lifespan="off",
        )
        if public is not None:
            config.load()
            config.ssl = _tls(public)
        self._server = uvicorn.Server(config)
        # outside the main thread uvicorn leaves the signals to us
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name=f"web {self.port}", daemon=True
        )

    def start(self, stopping: threading.Event) -> None:
        """Serve; returns when it does, when it cannot, or when told to stop."""
        self._thread.start()
        while not self._server.started and self.alive and not stopping.is_set():
            stopping.wait(0.02)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop taking requests; those under way get a second."""
        self._ends = monotonic() + STOP_S
        self._server.should_exit = True

    def join(self) -> None:
        """Wait until it has stopped, STOP_S after it was told to at most: what is under way in a thread then
        is a transaction, which is whole or not at all.
        """
        self._thread.join(max(0.0, self._ends - monotonic()))


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _tls(public: Public) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(public.certificate, public.key)
    except (ssl.SSLError, OSError) as why:
        raise BadConfig(f"server.yaml: certificate and key cannot be used: {why}") from why
    return context
