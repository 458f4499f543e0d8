"""Hooks of the documentation site (``mkdocs.yml``): resolve links to files outside ``docs/``.

Pages link to each other and to files of the repository by relative paths, which work on GitHub. On
the site, README.md is the front page, CONTRIBUTING.md a page of its own, and every other linked
file a copy under ``files/``; a linked directory becomes a list of its files. mkdocs reports a
broken link, which fails a strict build.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

#: Pages from files outside ``docs/``.
SOURCES = {"index.md": ROOT / "README.md", "contributing/index.md": ROOT / "CONTRIBUTING.md"}

#: A link or an image within the repository: the target in its parentheses, and the anchor.
_LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")

#: Without scripts from other hosts the site can't draw diagrams; it shows a picture instead.
_DIAGRAM = re.compile(r"```mermaid\n.*?\n```", re.DOTALL)
_PICTURE = "![The flow of the records](architecture.svg)"

#: Roles in docstrings, such as ``:class:``, which Markdown doesn't support.
_ROLE = re.compile(r":(?:attr|class|func|meth|mod):(?=<code>)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from files outside ``docs/``, and copies of all linked files."""
    for uri, source in SOURCES.items():
        content = _DIAGRAM.sub(_PICTURE, source.read_text("utf-8"))
        files.append(File.generated(config, uri, content=content))
    linked = {
        target: uri
        for page in files.documentation_pages()
        for found in _LINK.finditer(page.content_string)
        if (target := _target(page.src_uri, found[1])).exists()
        and (uri := _uri(target)).startswith("files/")
    }
    for target, uri in linked.items():
        if target.is_dir():
            files.append(File.generated(config, uri, content=_listing(target)))
            for path in _children(target):
                _copy(files, config, path)
        else:
            _copy(files, config, target)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Replace the targets of links by their paths on the site."""
    if page.file.src_uri.startswith("files/"):
        return markdown

    def moved(found: re.Match[str]) -> str:
        target = _target(page.file.src_uri, found[1])
        if not target.exists():
            return found[0]
        start = dirname(page.file.src_uri) or "."
        return f"]({relpath(_uri(target), start)}{found[2] or ''})"

    return _LINK.sub(moved, markdown)


def on_page_content(html: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Remove the roles before names in docstrings."""
    return _ROLE.sub("", html)


def _target(page: str, link: str) -> Path:
    """Return the file of the repository that a link on a page refers to."""
    return (SOURCES.get(page, DOCS / page).parent / link).resolve()


def _uri(target: Path) -> str:
    """Return the path of a file of the repository on the site."""
    for uri, source in SOURCES.items():
        if target == source:
            return uri
    if target.is_relative_to(DOCS) and target.is_file():
        return target.relative_to(DOCS).as_posix()
    name = f"files/{target.relative_to(ROOT).as_posix()}"
    return f"{name}/index.md" if target.is_dir() else name


def _copy(files: Files, config: MkDocsConfig, path: Path) -> None:
    if files.get_file_from_path(_uri(path)) is None:
        files.append(File.generated(config, _uri(path), abs_src_path=str(path)))


def _listing(directory: Path) -> str:
    name = directory.relative_to(ROOT).as_posix()
    lines = [f"- [{path.name}]({path.name})" for path in _children(directory)]
    return "\n".join([f"# {name}", "", *lines, ""])


def _children(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.iterdir()) if path.is_file())
