"""Say in a package where its repository is, which nobody but the release knows: `release.py ADDRESS TAG`.

It writes into the pyproject.toml and the README.md of the folder that it runs in, a checkout that is thrown away.
"""

import re
import sys
from pathlib import Path

# What the index shows beside the text, by the names that it knows.
URLS = {
    "Homepage": "{address}",
    "Documentation": "{address}/blob/{tag}/docs/index.md",
    "Changelog": "{address}/blob/{tag}/CHANGELOG.md",
    "Issues": "{address}/issues",
    "Source": "{address}/tree/{tag}",
}
RELATIVE = re.compile(r'(?P<before>\]\(|src=")(?![a-z]+:|#)(?P<path>[^)"\s]+)')


def absolute(readme: str, address: str, tag: str) -> str:
    """Return a README whose links lead into the repository at a tag: to pages, and to the bytes of pictures."""

    def link(found: re.Match[str]) -> str:
        kind = "raw" if found["before"].startswith("src") else "blob"
        return f"{found['before']}{address}/{kind}/{tag}/{found['path']}"

    return RELATIVE.sub(link, readme)


def main(address: str, tag: str) -> None:
    """Write the addresses."""
    project, readme = Path("pyproject.toml"), Path("README.md")
    urls = "".join(f'{name} = "{url.format(address=address, tag=tag)}"\n' for name, url in URLS.items())
    project.write_text(f"{project.read_text(encoding='utf-8')}\n[project.urls]\n{urls}", encoding="utf-8")
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), address, tag), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
