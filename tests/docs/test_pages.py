"""Pages of docs/ that show a session are run, command by command, and must print what they show."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "COLUMNS": "120",
}


def commands(page: str) -> list[tuple[str, str]]:
    """The page's commands with the output that it shows for each; `...` stands for anything."""
    steps: list[tuple[str, str]] = []
    for block in CONSOLE.findall((DOCS / page).read_text()):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command = f"{command[:-1]} {more.strip()}"
            steps.append((command, output))
    return steps


def run_page(page: str, folder: Path) -> None:
    """Run a page in a folder; raises AssertionError with both texts where a command prints something else."""
    steps = commands(page)
    assert steps, f"{page} shows no command"
    for command, expected in steps:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode in (0, 1), f"$ {command}\n{done.stdout}{done.stderr}"
        printed = "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n" * bool(done.stdout)
        same = doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)
        assert same, f"$ {command}\nthe page shows:\n{expected}\nit prints:\n{printed}\n{done.stderr}"


@pytest.mark.shared
def test_the_tutorial_on_a_real_bill(tmp_path: Path, shared: Path) -> None:
    """One real bill through the whole chain, each step's total the one before, as docs/tutorial.md shows it."""
    (tmp_path / "bill.csv").write_bytes((shared / "focus/samples/focus_1_0_aws_inc.csv").read_bytes())
    run_page("tutorial.md", tmp_path)
