"""Errors of the engine; each message says what was found, what was expected and what to do next.

    FinopsError
    ├── CallError            a command or function was called wrongly            exit 2
    │   ├── ConfigError      finops.toml, a rules file or a scenario is wrong    exit 2
    │   ├── InputError       an input file is missing, empty, truncated, alien   exit 2
    │   └── LoadRefused      a load would silently drop what the lake holds      exit 2
    ├── LakeError            the lake is locked, damaged or of another schema    exit 2
    │   └── LakeConflict     another writer was first; a repeated run finds it   exit 2
    └── SourceUnreachable    a provider did not answer                           exit 3

Data that is wrong inside a readable file never raises: it becomes a finding or a quarantined row.
"""

from typing import ClassVar


class FinopsError(Exception):
    """Base of every error that a user can see.

    found: what was there. expected: what should have been there. next_step: what to do now.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, found: str, *, expected: str, next_step: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  next: {self.next_step}"

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments must survive the trip back from a worker process
        return _rebuild, (type(self), self.found, self.expected, self.next_step)


def _rebuild(kind: type[FinopsError], found: str, expected: str, next_step: str) -> FinopsError:
    return kind(found, expected=expected, next_step=next_step)


class CallError(FinopsError):
    """A command or function was called with something it cannot take."""


class ConfigError(CallError):
    """finops.toml, a rules file or a scenario file is wrong."""


class InputError(CallError):
    """An input file is missing, empty, truncated or not of the format that was asked for."""


class LoadRefused(CallError):
    """A load would drop what the lake already holds."""


class LakeError(FinopsError):
    """The lake is locked, damaged or written by another schema version."""


class LakeConflict(LakeError):
    """Another writer changed the lake between a run's reading and its writing; nothing of the run was stored."""


class SourceUnreachable(FinopsError):
    """A provider or server could not be reached."""

    exit_code = 3
