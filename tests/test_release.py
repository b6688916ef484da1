"""What a release adds to the package, and what its maintainer may change: the links, and the name."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ADDRESS, TAG = "https://example.org/owner/repository", "v1.2.3"
LINK = re.compile(r"""(?:\]\(|src=")([^)\s"]+)""")
RENAME = re.compile(r"^ *(sed -i -E .*)$", re.MULTILINE)
ROOMS = ("backends", "drivers", "fmbench", "process")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAME = PYPROJECT["project"]["name"]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_{}(sys.argv[1]))"
SAYS = "from fmbench import distribution; print(distribution.name(), distribution.to_install('load'))"


@pytest.fixture
def copy(tmp_path):
    """A copy of all that a wheel is built from, and that has its name."""
    folder = tmp_path / "copy"
    for part in (*ROOMS, "examples", "docs/tutorials"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / part, folder)
    return folder


def build(folder):
    """Build the wheel of a folder without a network; return the path, and its metadata."""
    made = folder.parent / "wheels"
    run([sys.executable, "-c", BUILD.format("wheel"), made], folder)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return wheel, message_from_bytes(archive.read(name))


def run(words, folder, **environment):
    done = subprocess.run(words, cwd=folder, env=environment or None, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_release_has_addresses_and_its_text_leads_to_the_tag(copy):
    run([sys.executable, ROOT / ".github" / "release.py", ADDRESS, TAG], copy)
    _, metadata = build(copy)
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert urls["Homepage"] == ADDRESS and urls["Issues"] == f"{ADDRESS}/issues"
    text = metadata.get_payload()
    links = [link.partition("#")[0] for link in LINK.findall(text)]
    assert len(links) == len(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))) > 10
    assert f'src="{ADDRESS}/raw/{TAG}/docs/images/choice.png"' in text
    for link in [*links, urls["Documentation"], urls["Changelog"]]:
        kind, tag, path = link.removeprefix(f"{ADDRESS}/").split("/", 2)
        assert kind in ("blob", "raw") and tag == TAG and (ROOT / path).is_file(), link


def test_links_that_lead_elsewhere_stay_as_they_are(tmp_path):
    text = "[a](https://example.org/a) [b](#b) [c](mailto:c@example.org)\n"
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "pyproject.toml").write_text("")
    run([sys.executable, ROOT / ".github" / "release.py", ADDRESS, TAG], tmp_path)
    assert (tmp_path / "README.md").read_text() == text


def test_the_project_asks_for_its_own_extras_by_its_own_name():
    extras = PYPROJECT["project"]["optional-dependencies"]
    own = [one.partition("[") for needed in extras.values() for one in needed if one.startswith("fmbench")]
    asked = [(name, extra) for name, _, wanted in own for extra in wanted.rstrip("]").split(",")]
    assert asked and {name for name, _ in asked} == {NAME} and {extra for _, extra in asked} <= {*extras}


@pytest.mark.slow
def test_what_is_built_has_the_rooms_whole_and_nothing_beside(copy):
    (copy / "tests").mkdir()
    (copy / "tests" / "test_one.py").write_text("")  # setuptools takes these, and not what they need
    rooms = {str(path.relative_to(copy)) for room in ROOMS for path in (copy / room).rglob("*") if path.is_file()}
    wheel, _ = build(copy)
    with zipfile.ZipFile(wheel) as archive:
        built = {Path(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert {str(path).removeprefix("fmbench/") for path in built} == {name.removeprefix("fmbench/") for name in rooms}
    # A folder of data alone is to be a package too, or a later setuptools leaves it out.
    assert {".".join(path.parent.parts) for path in built} == {*PYPROJECT["tool"]["setuptools"]["packages"]}
    run([sys.executable, "-c", BUILD.format("sdist"), copy.parent], copy)
    (source,) = copy.parent.glob("*.tar.gz")
    shutil.unpack_archive(source, copy.parent / "source")
    (root,) = (copy.parent / "source").iterdir()
    inside = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    beside = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert {name for name in inside if ".egg-info/" not in name} == rooms | beside


@pytest.mark.slow
def test_one_line_renames_what_is_installed_and_all_that_asks_for_it(copy):
    (line,) = RENAME.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    run(["bash", "-c", line.replace("NAME", "another-name")], copy)
    wheel, metadata = build(copy)
    assert metadata["Name"] == "another-name"
    needed = [one for one in metadata.get_all("Requires-Dist") if re.match(r"(fmbench|another-name)\b", one)]
    assert needed and all(one.startswith("another-name[") for one in needed)
    for example in (copy / "examples").glob("*/pyproject.toml"):
        assert tomllib.loads(example.read_text())["project"]["dependencies"] == ["another-name"]
        if example.parent.name == "backend-plugin":
            assert example.read_text() in (copy / "docs/tutorials/your-own-accelerator.md").read_text()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(copy.parent / "installed")
    installed = {"PYTHONPATH": str(copy.parent / "installed"), "PATH": ""}
    said = run([sys.executable, "-c", SAYS], copy.parent, **installed)
    assert shlex.split(said) == ["another-name", "pip", "install", "another-name[load]"]
    listed = run([sys.executable, "-m", "fmbench", "doctor"], copy.parent, **installed)
    assert re.search(r"^ok +numpy", listed, re.MULTILINE)
