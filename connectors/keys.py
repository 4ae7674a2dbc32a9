"""Reads the key of a source from where finops.toml says that it is; no message ever holds it."""

import os
from pathlib import Path
from typing import Any

from finops.config import Key
from finops.errors import ConfigError


def read_key(key: Key, home: Path) -> str:
    """The key, without white space around it; a relative file is taken from the home.

    Raises ConfigError that names the place and the next step when nothing is there or it cannot be sent as a header.
    """
    if key.env is not None:
        place, found = f"the environment variable {key.env}", os.environ.get(key.env)
    elif key.file is not None:
        place, found = f"the file {home / key.file}", _of_file(home / key.file)
    else:
        place, found = f"the keyring entry {key.keyring}", _of_keyring(str(key.keyring))
    text = (found or "").strip()
    if not text:
        raise ConfigError(
            f"{place} {'is empty' if found is not None else 'does not exist'}",
            expected="an API key there",
            next_step=_put_it(key),
        )
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError(
            f"{place} holds something that is no API key: it has spaces, line ends or letters that no key has",
            expected="the key alone, on one line",
            next_step=_put_it(key),
        )
    return text


def _of_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        # the error itself may quote what the file holds
        raise ConfigError(
            f"the file {path} cannot be read ({type(error).__name__})",
            expected="a text file that holds the key alone, readable by this user",
            next_step="correct the file or its permissions",
        ) from None


def _of_keyring(entry: str) -> str | None:
    service, _, user = entry.partition("/")
    keyring = _keyring(entry)
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise ConfigError(
            f"the system's keyring cannot be read for {entry} ({type(error).__name__})",
            expected="an unlocked keyring",
            next_step="unlock it, or name an environment variable or a file as `key`",
        ) from None
    return found


def _keyring(entry: str) -> Any:
    try:
        import keyring
        import keyring.errors
    except ImportError as error:
        raise ConfigError(
            f"the key is named as the keyring entry {entry}, but the package keyring is not installed",
            expected="the extra `keyring`",
            next_step="pip install 'finops-ai[keyring]', or name an environment variable or a file as `key`",
        ) from error
    return keyring


def _put_it(key: Key) -> str:
    if key.env is not None:
        return f"export {key.env}=... before the command, or name a file or a keyring entry as `key`"
    if key.file is not None:
        return f"write the key to {key.file}, readable by this user only"
    service, _, user = str(key.keyring).partition("/")
    return f"keyring set {service} {user}"
