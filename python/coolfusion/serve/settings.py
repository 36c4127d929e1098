"""Holds the settings of a server: its name, its address, its key and its limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from coolfusion.errors import ArgumentError
from coolfusion.fusion.options import check_count, check_seconds

__all__ = ["ServerSettings", "is_loopback"]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The settings of a server. The fusion sets the number of texts that are written at the same time.

    Attributes:
        name: the fused model's name, under which clients ask for it.
        host: the address that the server listens on.
        port: the port; 0 takes any that is free.
        api_key: the bearer token that clients must send. None takes requests without one.
        without_key: whether an address that other machines reach may be served without a key.
        max_waiting: number of texts that may wait for room. Further requests get the status 429.
        max_connections: number of open connections, also of those without a request. Further ones are closed with the
            status 503.
        max_body_bytes: the greatest size of a request's body. Larger ones get the status 413.
        timeout: seconds that an answer may take, reading by the client included.
        shutdown_timeout: seconds that running requests have to end when the server is told to stop.

    Raises:
        ArgumentError: a value is outside its range, or an open address has no key.

    Example:
        >>> ServerSettings(max_waiting=8).name
        'coolfusion'
    """

    name: str = "coolfusion"
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    without_key: bool = False
    max_waiting: int = 64
    max_connections: int = 512
    max_body_bytes: int = 1 << 20
    timeout: float = 300.0
    shutdown_timeout: float = 30.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ArgumentError(f"name must be a text of at least one character, not {self.name!r}")
        if not isinstance(self.host, str) or not self.host:
            raise ArgumentError(f"host must be an address, not {self.host!r}")
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 <= self.port < 1 << 16:
            raise ArgumentError(f"port must be a whole number from 0 to 65535, not {self.port!r}")
        check_count("max_connections", self.max_connections)
        check_count("max_body_bytes", self.max_body_bytes)
        if isinstance(self.max_waiting, bool) or not isinstance(self.max_waiting, int) or self.max_waiting < 0:
            raise ArgumentError(f"max_waiting must be a whole number from 0 on, not {self.max_waiting!r}")
        for name in ("timeout", "shutdown_timeout"):
            if getattr(self, name) is None:
                raise ArgumentError(f"{name} must be a positive number of seconds, not None")
            check_seconds(name, getattr(self, name))
        if self.api_key is not None:
            key = self.api_key
            if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable() or " " in key:
                raise ArgumentError("the API key must be a text of visible ASCII characters, at least one")
        if self.api_key is None and not self.without_key and not is_loopback(self.host):
            raise ArgumentError(
                f"host {self.host!r} is open to other machines and no API key is set; expected a key in "
                "COOLFUSION_API_KEY or --api-key, a loopback address, or --without-key"
            )


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches an address.

    Names other than localhost count as open, because they may resolve to any address.

    Args:
        host: an address or a name.

    Example:
        >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "")]
        [True, True, True, False, False]
    """
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
