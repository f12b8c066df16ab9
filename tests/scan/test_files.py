"""Which files are read: not what git ignores, not what others wrote, not what is no text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shim.scan import files
from shim.scan.files import File, read, walk


def tree(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")


def below(folder: Path) -> list[str]:
    return [str(one.path.relative_to(folder)) for one in walk(folder)]


def test_what_git_ignores_is_left_out_in_each_folder_by_its_own_rules(tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "a.log", "build/b.py", "sub/c.py", "sub/d.py", "sub/keep.log")
    (tmp_path / ".gitignore").write_text("*.log\n/build/\n")
    (tmp_path / "sub/.gitignore").write_text("d.py\n!keep.log\n")
    assert below(tmp_path) == [".gitignore", "a.py", "sub/.gitignore", "sub/c.py", "sub/keep.log"]


def test_rules_of_the_repository_above_apply(tmp_path: Path) -> None:
    tree(tmp_path, ".git/HEAD", "service/a.py", "service/out/b.py")
    (tmp_path / ".gitignore").write_text("out/\n")
    assert below(tmp_path / "service") == ["a.py"]


def test_rules_above_the_repository_do_not(tmp_path: Path) -> None:
    tree(tmp_path, "repository/.git/HEAD", "repository/a.py")
    (tmp_path / ".gitignore").write_text("*.py\n")
    assert below(tmp_path / "repository") == ["a.py"]


@pytest.mark.parametrize("name", ["node_modules", "vendor", ".git", ".venv", "third_party"])
def test_what_others_wrote_is_left_out(tmp_path: Path, name: str) -> None:
    tree(tmp_path, f"{name}/a.py", f"sub/{name}/b.py", "c.py")
    assert below(tmp_path) == ["c.py"]


def test_a_file_that_is_given_is_read_though_git_ignores_it(tmp_path: Path) -> None:
    tree(tmp_path, "a.py")
    (tmp_path / ".gitignore").write_text("a.py\n")
    assert [one.path.name for one in walk(tmp_path / "a.py")] == ["a.py"]


# It was read as if it were empty.
def test_a_folder_that_is_given_is_read_though_git_ignores_it(tmp_path: Path) -> None:
    tree(tmp_path, ".git/HEAD", "build/a.py", "build/b.log")
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "build/.gitignore").write_text("*.log\n")
    assert below(tmp_path / "build") == [".gitignore", "a.py"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, "real/a.py")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real/loop").symlink_to(tmp_path)
    assert below(tmp_path) == ["real/a.py"]


def test_paths_are_shown_as_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "src/a.py")
    monkeypatch.chdir(tmp_path)
    assert [one.shown for one in walk(Path())] == ["src/a.py"]
    assert [one.shown for one in walk(Path("src"))] == ["src/a.py"]
    assert [one.shown for one in walk(tmp_path / "src")] == [f"{tmp_path}/src/a.py"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"a\x00b", "binary"),
        (b"\xff\xfea", "not UTF-8"),
        (b"caf\xe9", "not UTF-8"),
        (b"x" * (files.MOST_BYTES + 1), "4,194,305 bytes, more than 4,194,304"),
    ],
)
def test_what_is_no_text_of_a_fair_size_is_said_and_not_read(
    tmp_path: Path, data: bytes, why: str
) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    assert read(File("a.py", path)) == why


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert read(File("gone", tmp_path / "gone")) == "no file"
    os.mkfifo(tmp_path / "pipe")
    assert read(File("pipe", tmp_path / "pipe")) == "no file"
    assert read(File("folder", tmp_path)) == "a folder that cannot be read"


def test_a_mark_of_the_order_of_bytes_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\n")
    got = read(File("a.py", path))
    assert not isinstance(got, str)
    assert got[0] == "x = 1\n"
