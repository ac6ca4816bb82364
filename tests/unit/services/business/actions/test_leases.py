import subprocess
import sys

from services.business.actions.leases import may_run, this_process


def test_only_another_living_process_may_be_at_it() -> None:
    host, pid, began = this_process().split("/")
    assert not may_run(None)
    assert not may_run(this_process())
    assert may_run(f"elsewhere/{pid}/{began}")
    assert not may_run(f"{host}/{pid}/{int(began) - 1}"), "its number was used again"

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with open(f"/proc/{other.pid}/stat", encoding="ascii") as stat:
            name = f"{host}/{other.pid}/{stat.read().rpartition(')')[2].split()[19]}"
        assert may_run(name)
        other.kill()
    assert not may_run(name)
