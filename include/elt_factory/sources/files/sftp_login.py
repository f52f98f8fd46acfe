"""From a connection of type sftp or ssh to a server whose host key is known."""

from __future__ import annotations

import base64
import binascii
import io
import socket
from typing import TYPE_CHECKING, Any

from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceUnavailableError

if TYPE_CHECKING:
    from paramiko import PKey, SSHClient

_SECONDS = 20
_SSH = 22


def opened(host: str, port: int, connection: Connection) -> SSHClient:
    """Return a client that is logged in. The server has shown the key that the connection or this machine knows.

    Raises:
        AccessDeniedError: an unknown host key or another one, a login that is refused.
        SourceUnavailableError: the server cannot be reached.
        BadRequestError: a key in the connection that cannot be read.
    """
    with needs("sftp", "a folder in sftp://"):
        import paramiko

    extra, client = connection.extra, paramiko.SSHClient()
    _know_hosts(client, host if port == _SSH else f"[{host}]:{port}", connection)
    client.set_missing_host_key_policy(_Refusing())
    seconds = float(extra.get("conn_timeout") or extra.get("timeout") or _SECONDS)
    try:
        client.connect(
            host,
            port,
            username=connection.login,
            password=connection.password,
            pkey=_private_key(connection),
            key_filename=extra.get("key_file"),
            passphrase=extra.get("private_key_passphrase"),
            look_for_keys=str(extra.get("look_for_keys")).lower() == "true",
            allow_agent=False,
            timeout=seconds,
            banner_timeout=seconds,
            auth_timeout=seconds,
            channel_timeout=seconds,
            disabled_algorithms=extra.get("disabled_algorithms"),
        )
    except paramiko.BadHostKeyException as error:
        raise AccessDeniedError(
            f"{host} shows another host key than the one that is known ({_print(error.key)}); hint: ask its owner "
            "whether the key was changed, and only then change host_key in the extra of the connection"
        ) from None
    except paramiko.AuthenticationException as error:
        hint = f'check login, password and key of the connection "{connection.conn_id}"'
        raise AccessDeniedError(f"{host} refuses the login: {error}; hint: {hint}") from None
    except (paramiko.PasswordRequiredException, FileNotFoundError) as error:
        raise BadRequestError(f'the key of the connection "{connection.conn_id}" cannot be read: {error}') from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        client.close()
        said = error.strerror if isinstance(error, socket.gaierror) else str(error)
        raise SourceUnavailableError(f"{host}:{port} cannot be reached: {said or type(error).__name__}") from None
    return client


class _Refusing:
    """Says no to a server that no one knows, and which key it shows."""

    def missing_host_key(self, _: Any, hostname: str, key: PKey) -> None:
        shown = f"{key.get_name()} {key.get_base64()}"
        raise AccessDeniedError(
            f"the host key of {hostname} is not known ({_print(key)}); hint: compare it with what the server's owner "
            f'says, and write {{"host_key": "{shown}"}} in the extra of the connection, or add it to known_hosts'
        )


def _know_hosts(client: SSHClient, name: str, connection: Connection) -> None:
    import paramiko

    given = connection.extra.get("host_key")
    if not given:
        client.load_system_host_keys()
        return
    # "ssh-ed25519 AAAA...", or without the name, which the key itself begins with
    text = str(given).split()
    try:
        data = base64.b64decode(text[1] if len(text) > 1 else text[0], validate=True)
        kind = data[4 : 4 + int.from_bytes(data[:4])].decode("ascii")
        key = paramiko.PKey.from_type_string(kind, data)
    except (binascii.Error, ValueError, IndexError, paramiko.SSHException, paramiko.UnknownKeyType):
        hint = 'write it as ssh-keyscan does: "ssh-ed25519 AAAA..."'
        raise BadRequestError(
            f'the host_key of the connection "{connection.conn_id}" is not one; hint: {hint}'
        ) from None
    client.get_host_keys().add(name, kind, key)


def _private_key(connection: Connection) -> PKey | None:
    import paramiko

    text = connection.extra.get("private_key")
    if not text:
        return None
    passphrase = connection.extra.get("private_key_passphrase")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(str(text).replace("\\n", "\n")), passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    raise BadRequestError(
        f'the private_key of the connection "{connection.conn_id}" cannot be read; hint: write it whole, with its '
        "passphrase in private_key_passphrase"
    )


def _print(key: PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
