"""What can be seen from inside the running containers."""

import pytest

from tests.cluster.installation import DEPLOYMENTS, STATEFUL_SETS, Installation
from tests.kubernetes import CommandFailed

TOOLS = ("gcc", "cc", "c++", "make", "pip", "pip3", "apt-get")
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@pytest.fixture(params=[*DEPLOYMENTS, *STATEFUL_SETS])
async def pod(request: pytest.FixtureRequest, zhiyin: Installation) -> str:
    """A pod of each component."""
    return (await zhiyin.ready_pods(request.param))[0].name


async def test_processes_are_not_root_and_can_never_be(zhiyin: Installation, pod: str) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in (await zhiyin.execute(pod, "cat", "/proc/1/status")).splitlines()
        if ":\t" in line
    )
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


async def test_the_root_file_system_is_read_only(zhiyin: Installation, pod: str) -> None:
    mounts = [line.split() for line in (await zhiyin.execute(pod, "cat", "/proc/mounts")).splitlines()]
    (options,) = [mount[3].split(",") for mount in mounts if mount[1] == "/"]
    assert "ro" in options
    with pytest.raises(CommandFailed, match="Read-only file system"):
        await zhiyin.execute(pod, "sh", "-c", "echo x > /here")


async def test_there_is_no_token_of_the_clusters_api(zhiyin: Installation, pod: str) -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        await zhiyin.execute(pod, "cat", TOKEN)


async def test_there_are_no_links_to_other_services(zhiyin: Installation, pod: str) -> None:
    names = [line.partition("=")[0] for line in (await zhiyin.execute(pod, "env")).splitlines()]
    assert [name for name in names if name.endswith("_SERVICE_HOST") and name != "KUBERNETES_SERVICE_HOST"] == []


@pytest.mark.parametrize("component", DEPLOYMENTS)
async def test_the_service_images_have_neither_compiler_nor_installer(zhiyin: Installation, component: str) -> None:
    name = (await zhiyin.ready_pods(component))[0].name
    looked = " ".join(TOOLS)
    found = await zhiyin.execute(name, "sh", "-c", f"for tool in {looked}; do command -v $tool; done; true")
    assert found.split() == []
    modules = "import importlib.util as u; print([n for n in ('pip', 'setuptools', 'torch') if u.find_spec(n)])"
    assert (await zhiyin.execute(name, "python", "-c", modules)).strip() == "[]"
