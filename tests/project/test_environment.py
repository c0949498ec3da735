"""environment.yml says to conda what pyproject.toml says to pip."""

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

CONDA_ONLY = {"python", "pip", "jupyter_bokeh"}


@pytest.fixture(scope="module")
def environment(root):
    return yaml.safe_load((root / "environment.yml").read_text())


@pytest.fixture(scope="module")
def specs(environment):
    return {str(spec.name.normalized): spec for spec in map(MatchSpec, environment["dependencies"][:-1])}


@pytest.fixture(scope="module")
def requirements(pyproject):
    project = pyproject["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dask"]
    return {r.name: r.specifier for r in map(Requirement, lines)}


def test_shape(environment):
    assert list(environment) == ["name", "channels", "dependencies"]
    assert environment["name"] == "mmlab"
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert environment["dependencies"][0] == "python=3.11"
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def test_python_is_one_that_pip_accepts(specs, pyproject):
    assert str(specs["python"].version) == "3.11.*"
    assert SpecifierSet(pyproject["project"]["requires-python"]).contains("3.11.0")


def test_same_packages(specs, requirements):
    assert set(specs) - CONDA_ONLY == set(requirements)


def test_same_ranges(specs, requirements):
    ranges = {name: SpecifierSet(str(specs[name].version)) for name in requirements}
    assert ranges == requirements


def test_an_unparsable_range_would_be_noticed():
    with pytest.raises(InvalidMatchSpecError):
        MatchSpec("bokeh >=2.2,<")
