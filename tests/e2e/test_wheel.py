"""The built wheel works away from the checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("finops", "connectors", "forecasting", "optimizer", "reports", "app")

SCRIPT = """
import json, sys
from finops.cli.main import run
code = run(["--home", "home", "--quiet", "--format", "json", "demo", "--months", "4"])
packages = {packages!r}
print(json.dumps({{"code": code, "files": [m.__file__ for n, m in sys.modules.items()
                                          if n.split(".")[0] in packages and getattr(m, "__file__", None)]}}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and installed without its dependencies into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return target


def test_the_demo_runs_from_the_wheel(site: Path, tmp_path: Path) -> None:
    """`finops demo` needs no file of the checkout: every module of ours that it loads comes from the wheel."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(packages=PACKAGES)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["code"] in (0, 1), done.stderr
    assert len(last["files"]) > 20
    assert {f for f in last["files"] if not Path(f).is_relative_to(site)} == set()
    assert (site / "app.py").exists()
