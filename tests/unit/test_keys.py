"""A key is found where finops.toml says, and no message holds it."""

import sys
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from connectors.keys import read_key
from finops.config import Key
from finops.errors import ConfigError

SECRET = "sk-admin-very-secret"


class Memory(KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, entries: dict[tuple[str, str], str], *, locked: bool = False) -> None:
        super().__init__()
        self.entries = entries
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked(SECRET)
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture(autouse=True)
def _own_keyring() -> object:
    before = keyring.get_keyring()
    keyring.set_keyring(Memory({("finops", "openai"): SECRET}))
    yield
    keyring.set_keyring(before)


def refused(key: Key, home: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_key(key, home)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the environment is read without the white space around it; a missing or empty one is named."""
    key = Key(env="STUB_KEY")
    monkeypatch.setenv("STUB_KEY", f" {SECRET}\n")
    assert read_key(key, tmp_path) == SECRET
    monkeypatch.setenv("STUB_KEY", "  ")
    assert "STUB_KEY is empty" in refused(key, tmp_path)
    monkeypatch.delenv("STUB_KEY")
    assert "export STUB_KEY=..." in refused(key, tmp_path)


def test_file(tmp_path: Path) -> None:
    """A file is taken from the home, whatever line end it has; a missing, empty or unreadable one is named."""
    key = Key(file=Path("secrets/openai"))
    assert "does not exist" in refused(key, tmp_path)
    file = tmp_path / "secrets/openai"
    file.parent.mkdir()
    file.write_text(f"{SECRET}\r\n")
    assert read_key(key, tmp_path) == SECRET
    file.write_text("\n")
    assert "is empty" in refused(key, tmp_path)
    file.write_bytes(b"\xff" + SECRET.encode())
    assert "cannot be read" in refused(key, tmp_path)


@pytest.mark.parametrize("content", [f"OPENAI={SECRET} x", f"{SECRET}\n{SECRET}", f"{SECRET}é", f"{SECRET}\x07"])
def test_what_is_no_key(tmp_path: Path, content: str) -> None:
    """What cannot be sent as a header is refused without quoting it."""
    (tmp_path / "key").write_text(content)
    assert "no API key" in refused(Key(file=Path("key")), tmp_path)


def test_keyring(tmp_path: Path) -> None:
    """An entry of the system's keyring is read; a missing one, and a locked keyring, name the next step."""
    assert read_key(Key(keyring="finops/openai"), tmp_path) == SECRET
    assert "keyring set finops anthropic" in refused(Key(keyring="finops/anthropic"), tmp_path)
    keyring.set_keyring(Memory({}, locked=True))
    assert "unlock it" in refused(Key(keyring="finops/openai"), tmp_path)


def test_keyring_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package keyring the message names the extra to install."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install 'finops-ai[keyring]'" in refused(Key(keyring="finops/openai"), tmp_path)
