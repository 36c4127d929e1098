"""What to install is named in the way in which the package itself was installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from coolfusion import extras

ROOT = Path(__file__).parents[2]


def test_a_source_tree_is_named_by_its_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "__file__", str(ROOT / "python" / "coolfusion" / "extras.py"))
    monkeypatch.chdir(ROOT)
    assert extras.install_command("hf") == "pip install -e '.[hf]'"
    monkeypatch.chdir(tmp_path)
    assert extras.install_command("hf") == f"pip install -e '{ROOT}[hf]'"


@pytest.mark.parametrize("folder", ["lib/python3.13/site-packages", "python"])
def test_an_installed_package_is_named_by_its_name(monkeypatch, tmp_path, folder):
    package = tmp_path / folder / "coolfusion"
    package.mkdir(parents=True)
    (tmp_path / "lib").mkdir(exist_ok=True)
    monkeypatch.setattr(extras, "__file__", str(package / "extras.py"))
    assert extras.install_command("test") == "pip install 'coolfusion[test]'"
    (tmp_path / "pyproject.toml").touch()
    in_tree = folder == "python"
    assert extras.install_command("test").startswith("pip install -e" if in_tree else "pip install 'coolfusion[")
