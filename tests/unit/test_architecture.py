"""The layers hold, and each contract that says so can fire."""

import itertools
import tomllib
from pathlib import Path

import grimp
import pytest
from importlinter.contracts.layers import LayersContract

ROOT = Path(__file__).parents[2]
LINT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = [[module.strip() for module in layer.split("|")] for layer in LINT["contracts"][0]["layers"]]

UPWARD = [(low, high) for above, below in itertools.pairwise(LAYERS) for low in below for high in above]
SIDEWAYS = [pair for layer in LAYERS for pair in itertools.permutations(layer, 2)]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom, in the code as it is."""
    return grimp.build_graph(*LINT["root_packages"], cache_dir=None)


def kept(graph: grimp.ImportGraph) -> bool:
    """Whether the layer contract of pyproject.toml holds on a graph."""
    options = {key: value for key, value in LINT["contracts"][0].items() if key not in {"id", "name", "type"}}
    contract = LayersContract("layers", {"root_packages": LINT["root_packages"]}, options)
    return bool(contract.check(graph=graph, verbose=False).kept)


def test_the_layers_hold(graph: grimp.ImportGraph) -> None:
    """No module imports from a layer above its own, or from a sibling."""
    assert kept(graph)


def test_every_module_stands_in_a_layer(graph: grimp.ImportGraph) -> None:
    """A new module of the core or of reports is placed in the contract, or it is not checked at all."""
    placed = {module for layer in LAYERS for module in layer}
    for package in ("finops", "reports"):
        assert {m for m in graph.find_children(package) if m not in placed} == set()


@pytest.mark.parametrize(("importer", "imported"), UPWARD + SIDEWAYS)
def test_the_contract_fires(graph: grimp.ImportGraph, importer: str, imported: str) -> None:
    """An import upward or sideways breaks the contract."""
    graph.add_import(importer=importer, imported=imported)
    try:
        assert not kept(graph)
    finally:
        graph.remove_import(importer=importer, imported=imported)
