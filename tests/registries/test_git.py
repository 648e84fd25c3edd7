"""Files of a commit: a branch may move, the pin does not, and nothing that is not content itself is taken for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollcast.stacks.registries.git import GitFileRegistry, GitHttpsRegistry, GitSshRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.testing.registries import RegistryConformance
from tests.registries.git_server import PASSWORD, USER, git_server
from tests.registries.locking import content, declare, locked, run


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(repository: Path, files: dict[str, str]) -> str:
    """The repository's next commit, on its branch."""
    if not repository.exists():
        repository.mkdir(parents=True)
        git(repository, "init", "--quiet")
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "next")
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "prompts"


class TestGitFile(RegistryConformance):
    mistaken = "//host/prompts"

    @pytest.fixture(autouse=True)
    def _repository(self, repository: Path) -> None:
        commit(repository, {"readme": "nothing"})
        self.repository = repository
        self.absent = f"//{repository}@no-such-branch#prompts"

    def make(self) -> Registry:
        return GitFileRegistry()

    def put(self, project: Path, text: str) -> str:
        commit(self.repository, {"prompts/answer.txt": text})
        return f"//{self.repository}@main#prompts"


@pytest.mark.parametrize(
    ("rest", "right"),
    [
        ("//github.com/acme/prompts@main#answer", True),
        ("//github.com/acme/prompts.git@v1.2", True),
        ("//github.com:8443/acme/prompts@feature/x", True),
        ("//github.com/acme/prompts", False),
        ("//github.com/acme/prompts@--upload-pack=evil", False),
        ("//github.com/acme/prompts@main#../..", False),
        ("//github.com/acme/prompts@main#/etc", False),
        ("//me:secret@github.com/acme/prompts@main", False),
    ],
)
def test_a_source_names_a_repository_a_ref_and_a_path_within(rest: str, right: bool) -> None:
    assert (GitHttpsRegistry().mistake(rest) == "") == right


def test_ssh_has_a_user_and_no_password() -> None:
    assert GitSshRegistry().mistake("//git@github.com/acme/prompts@main#answer") == ""


def test_a_branch_that_moves_is_shown_and_is_not_followed(
    project: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = commit(repository, {"prompts/answer.txt": "one", "other": "x"})
    declare(project, f"git+file://{repository}@main#prompts")
    assert run(project, "lock") == 0
    assert locked(project)["identity"] == f"git+file://{repository}@{first}#prompts"
    commit(repository, {"prompts/answer.txt": "two"})
    assert content(project) == {"answer.txt": b"one"}
    capsys.readouterr()
    assert run(project, "lock", "--check") == 1
    assert "a0@1: sha256:" in capsys.readouterr().err
    assert run(project, "lock") == 0
    assert " -> sha256:" in capsys.readouterr().out
    assert content(project) == {"answer.txt": b"two"}


def test_a_commit_elsewhere_in_the_repository_moves_nothing(project: Path, repository: Path) -> None:
    commit(repository, {"prompts/answer.txt": "one"})
    declare(project, f"git+file://{repository}@main#prompts")
    assert run(project, "lock") == 0
    commit(repository, {"elsewhere": "two"})
    assert run(project, "lock", "--check") == 0


def test_one_file_a_tag_and_a_commit(project: Path, repository: Path) -> None:
    first = commit(repository, {"a.txt": "one", "b.txt": "two"})
    git(repository, "tag", "-a", "v1", "-m", "v1")
    commit(repository, {"a.txt": "three"})
    declare(project, f"git+file://{repository}@v1#a.txt", f"git+file://{repository}@{first}#b.txt")
    assert run(project, "lock") == 0
    assert locked(project)["identity"].endswith(f"@{first}#a.txt"), "a tag is its commit, not its own object"
    assert content(project) == {"a.txt": b"one"}
    assert content(project, "a1@1") == {"b.txt": b"two"}


def test_what_is_no_content_is_refused_by_name(
    project: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, {"lfs/w.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"})
    (repository / "links").mkdir()
    (repository / "links" / "away").symlink_to("/etc/passwd")
    commit(repository, {})
    declare(project, *(f"git+file://{repository}@main#{path}" for path in ("lfs", "links", "absent")))
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    assert "'lfs/w.bin' of " in said
    assert "pointer of Git LFS" in said
    assert "'links/away' is a symbolic link" in said
    assert "has no 'absent' in" in said
    assert said.count("rollcast.yaml:") == 3, "one error each, all at once"
    assert not (project / "rollcast.lock").exists(), "nothing half written"


def test_a_branch_of_a_real_server_over_https_is_pinned_and_fetched_with_gits_own_credentials(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = commit(repository, {"prompts/answer.txt": "Hello"})
    scratch, project, home = tmp_path / "tls", tmp_path / "project", tmp_path / "home"
    for folder in (scratch, project, home):
        folder.mkdir()
    with git_server(tmp_path, scratch) as server:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.certificate))
        monkeypatch.setenv("HOME", str(home))
        declare(project, f"git+{server.url}/prompts/.git@main#prompts")
        assert run(project, "lock") == 1
        assert "Check its address, the network, and your rights" in capsys.readouterr().err
        (home / ".gitconfig").write_text("[credential]\n\thelper = store\n")
        (home / ".git-credentials").write_text(f"{server.url.replace('://', f'://{USER}:{PASSWORD}@')}\n")
        assert run(project, "lock") == 0
        assert first in str(locked(project))
        commit(repository, {"prompts/answer.txt": "Hello, moved"})
        assert content(project) == {"answer.txt": b"Hello"}
    everything = "".join(path.read_text("utf-8", "replace") for path in project.rglob("*") if path.is_file())
    assert PASSWORD not in everything + capsys.readouterr().err
