"""Redis, Consul, helm and kubectl: on PATH, packaged or fetched, and a clear sentence where they cannot be had."""

import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli import debian, tools
from cli.errors import EnvironmentUnfit

CONSUL = '#!/bin/sh\necho "Consul v1.8.7"\n'
ARCHIVE = debian.Archive("http://127.0.0.1:9/debian", None)


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with one folder of the test's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_redis_of_the_system_comes_first(path: Path) -> None:
    system = program(path / "redis-server")
    assert tools.find_redis() == system


def test_packaged_redis(path: Path) -> None:
    found = tools.find_redis()
    assert found.name == "redis-server"
    assert tools.program_version(found).startswith("Redis server v=")


def test_no_redis_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentUnfit, match="no redis-server on this machine"):
        tools.find_redis()


def test_consul_on_path_comes_first(path: Path, tmp_path: Path) -> None:
    program(tmp_path / "tools" / "consul" / "1.8.7" / "consul")
    system = program(path / "consul")
    assert tools.find_consul(tmp_path / "tools") == system


def test_the_newest_fetched_consul(path: Path, tmp_path: Path) -> None:
    for version in ("1.8.7", "1.10.2", ".unpack-x"):
        program(tmp_path / "consul" / version / "consul", CONSUL)
    found = tools.installed_consul(tmp_path)
    assert found == tmp_path / "consul" / "1.10.2" / "consul"
    assert tools.program_version(found) == "Consul v1.8.7"


def test_no_source_to_fetch_consul_from(path: Path, tmp_path: Path) -> None:
    with pytest.raises(tools.ConsulUnavailable, match="no Debian package source"):
        tools.find_consul(tmp_path, sources=list)


def test_consul_that_cannot_be_fetched(path: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(tools.ConsulUnavailable, match=r"could not be fetched .*\(apt-get is not on this machine\)"):
        tools.find_consul(tmp_path, say=said.append, sources=lambda: [ARCHIVE])
    assert said == ["Fetching Consul from Debian's packages"]


def packaged(content: str) -> str:
    """A dpkg-deb that unpacks a package with one program in it."""
    return (
        "#!/bin/sh\n"
        'if [ "$1" = --field ]; then echo 1.8.7+dfsg1; exit; fi\n'
        '/bin/mkdir -p "$3/usr/bin"\n'
        f"/bin/cat > \"$3/usr/bin/consul\" <<'END'\n{content}END\n"
        '/bin/chmod 755 "$3/usr/bin/consul"\n'
    )


APT_GET = '#!/bin/sh\ncase "$*" in *download*) : > consul_1.8.7_amd64.deb;; esac\n'


def test_fetched_consul_is_whole_and_used_again(path: Path, tmp_path: Path) -> None:
    program(path / "apt-get", APT_GET)
    program(path / "dpkg-deb", packaged(CONSUL))
    folder = tmp_path / "tools"
    found = tools.find_consul(folder, sources=lambda: [ARCHIVE])
    assert found == folder / "consul" / "1.8.7+dfsg1" / "consul"
    assert tools.find_consul(folder, sources=list) == found
    assert [each.name for each in (folder / "consul").iterdir()] == ["1.8.7+dfsg1"]
    assert tools.fetch_consul(folder / "consul", ARCHIVE) == found


def test_something_else_than_consul_is_refused(path: Path, tmp_path: Path) -> None:
    program(path / "apt-get", APT_GET)
    program(path / "dpkg-deb", packaged("#!/bin/sh\necho hello\n"))
    with pytest.raises(tools.ConsulUnavailable, match="what was fetched is not Consul"):
        tools.find_consul(tmp_path / "tools", sources=lambda: [ARCHIVE])
    assert list((tmp_path / "tools" / "consul").iterdir()) == []


def test_a_tools_folder_that_cannot_be_made(path: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").write_text("a file")
    with pytest.raises(tools.ConsulUnavailable, match="Not a directory"):
        tools.find_consul(tmp_path / "tools", sources=lambda: [ARCHIVE])


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package with helm and kubectl in a zip in a .tgz; its name."""
    site = tmp_path / "site"
    (site / "layer-1.2.dist-info").mkdir(parents=True)
    (site / "layer-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: layer\nVersion: 1.2\n")
    (site / "layer-1.2.dist-info" / "RECORD").write_text("layer/code.py,,\nlayer/layer@1.2.tgz,,\n")
    (site / "layer").mkdir()
    packed = tmp_path / "layer.zip"
    with zipfile.ZipFile(packed, "w") as programs:
        for name in ("helm", "kubectl"):
            programs.writestr(f"{name}/{name}", f"#!/bin/sh\necho {name} 1.2\n")
    with tarfile.open(site / "layer" / "layer@1.2.tgz", "w:gz") as archive:
        archive.add(packed, "package/lib/layer.zip")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(tools, "CLUSTER_PACKAGE", "layer")
    return "layer"


def test_helm_on_path_comes_first(path: Path, tmp_path: Path, layer: str) -> None:
    system = program(path / "helm")
    assert tools.find_cluster_program("helm", tmp_path / "tools") == system


@pytest.mark.parametrize("name", ["helm", "kubectl"])
def test_programs_out_of_an_installed_package(name: str, path: Path, tmp_path: Path, layer: str) -> None:
    folder = tmp_path / "tools"
    found = tools.find_cluster_program(name, folder)
    assert found == folder / name / "1.2" / name
    assert tools.program_version(found) == f"{name} 1.2"
    assert [each.name for each in (folder / name).iterdir()] == ["1.2"]
    (tmp_path / "site" / "layer" / "layer@1.2.tgz").unlink()
    assert tools.find_cluster_program(name, folder) == found, "it is unpacked once"


def test_programs_that_several_unpack_at_a_time(path: Path, tmp_path: Path, layer: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tools.find_cluster_program("helm", tmp_path / "tools"), range(8)))
    assert set(found) == {tmp_path / "tools" / "helm" / "1.2" / "helm"}
    assert tools.program_version(found[0]) == "helm 1.2"
    assert [each.name for each in (tmp_path / "tools" / "helm").iterdir()] == ["1.2"]


def test_no_helm_at_all(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "CLUSTER_PACKAGE", "no-such-package-as-this")
    with pytest.raises(EnvironmentUnfit, match=r"no helm on this machine; .* no-such-package-as-this"):
        tools.find_cluster_program("helm", tmp_path)
