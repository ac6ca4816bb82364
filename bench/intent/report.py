"""What the benchmark found: the table, the goals and whether they are reached, JSON and a plot."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.intent.candidates import FASTAPI, LITSERVE_OURS, LITSERVE_TORCH, ZHIYIN
from bench.intent.load import Load

__all__ = ["CLIENTS", "Findings", "Goal", "goals", "plot", "show", "write"]

CLIENTS = (1, 8, 32, 64)
MOST = CLIENTS[-1]


@dataclass
class Findings:
    """Everything that was measured; a figure is the median of the rounds.

    `loads` by server and clients, `starts` in seconds and `memory` in MB by server, `groups` says what a server is.
    """

    machine: str
    rounds: int
    seconds: float
    raw: list[Mapping[str, float]] = field(default_factory=list)
    loads: dict[str, dict[int, list[Load]]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    overload: list[Mapping[str, float]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def typical(self, server: str, clients: int, figure: str) -> float:
        """The median over the rounds of a figure of a server."""
        return float(statistics.median(getattr(each, figure) for each in self.loads[server][clients]))

    def ratio(self, server: str, clients: int) -> float:
        """How much faster the service is: the median of the ratios within each round."""
        pairs = zip(self.loads[ZHIYIN][clients], self.loads[server][clients], strict=False)
        return statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs)

    def of_raw(self) -> float:
        """The share of the engine's raw throughput that the service reaches."""
        pairs = zip(self.loads[ZHIYIN][MOST], self.raw, strict=False)
        return statistics.median(ours.per_second / raw["per_second"] for ours, raw in pairs)

    def lone(self) -> float:
        """The median latency of a lone client as a multiple of a bare forward pass."""
        pairs = zip(self.loads[ZHIYIN][1], self.raw, strict=False)
        return statistics.median(ours.p50 / raw["lone_p50"] for ours, raw in pairs)

    def memory(self, server: str) -> float:
        """The most that the server ever took, in MB."""
        return max(each.megabytes for rows in self.loads[server].values() for each in rows)


@dataclass(frozen=True)
class Goal:
    """What is wanted and what was found."""

    name: str
    wanted: str
    found: float
    reached: bool


def goals(findings: Findings) -> list[Goal]:
    """Each goal that something was measured for."""
    found = [
        _at_least("throughput at 64 clients / raw limit of the engine", 0.8, findings.of_raw()),
        _at_most("p50 of a lone client / bare forward pass", 1.3, findings.lone()),
    ]
    for group, wanted in ((LITSERVE_TORCH, 2.2), (LITSERVE_OURS, 1.2), (FASTAPI, 3.0)):
        ratios = [findings.ratio(server, MOST) for server, of in findings.groups.items() if of == group]
        if ratios:
            # Against the best configuration.
            found.append(_at_least(f"throughput at 64 clients / {group}", wanted, min(ratios)))
    if findings.overload:
        peak = max(findings.typical(ZHIYIN, clients, "per_second") for clients in findings.loads[ZHIYIN])
        good = statistics.median(each["good_per_second"] for each in findings.overload)
        slow = statistics.median(each["refused_p99"] for each in findings.overload)
        found.append(_at_least("goodput at 3 × overload / peak", 0.9, good / peak))
        found.append(_at_most("p99 of rejections at 3 × overload, ms", 50, slow))
    found.append(_at_most("resident memory, MB", 450, findings.memory(ZHIYIN)))
    found.append(_at_most("start to the first answer, s", 4, statistics.median(findings.starts[ZHIYIN])))
    return found


def show(console: Console, findings: Findings) -> None:
    """Prints the tables."""
    table = Table(title="Understanding short customer sentences", caption=findings.machine)
    for column in ("server", *(f"{clients} clients" for clients in CLIENTS), "p50", "p95", "p99", "MB", "start s"):
        table.add_column(column, justify="left" if column == "server" else "right")
    raw = statistics.median(each["per_second"] for each in findings.raw)
    table.add_row(f"raw limit of the engine (batches of {findings.raw[-1]['batch']:.0f})", "", "", "", f"{raw:.0f}")
    for server in findings.loads:
        table.add_row(
            server,
            *(f"{findings.typical(server, clients, 'per_second'):.0f}" for clients in CLIENTS),
            *(f"{findings.typical(server, MOST, figure):.0f}" for figure in ("p50", "p95", "p99")),
            f"{findings.memory(server):.0f}",
            f"{statistics.median(findings.starts[server]):.1f}",
        )
    console.print(table)
    console.print("Answers a second by clients; latencies in ms at 64 clients.")
    console.print(
        f"A lone client waits {findings.typical(ZHIYIN, 1, 'p50'):.1f} ms (p50), "
        f"a bare forward pass takes {statistics.median(each['lone_p50'] for each in findings.raw):.1f} ms."
    )
    ours, engine = findings.typical(ZHIYIN, MOST, "cpu"), statistics.median(each["cpu"] for each in findings.raw)
    console.print(
        f"An answer costs {ours:.2f} ms of processor time at 64 clients, its share of a raw batch {engine:.2f} ms: "
        f"with all cores at work that is {engine / ours:.0%} of the raw limit."
    )
    wanted = Table(title="Goals")
    for column in ("", "goal", "found", ""):
        wanted.add_column(column)
    for goal in goals(findings):
        wanted.add_row(goal.name, goal.wanted, f"{goal.found:.2f}", "reached" if goal.reached else "[red]missed[/]")
    console.print(wanted)


def write(findings: Findings, path: Path) -> None:
    """Writes everything as JSON."""
    document = {
        **asdict(findings),
        "goals": [asdict(goal) for goal in goals(findings)],
        "loads": {
            server: {str(clients): [asdict(each) for each in rows] for clients, rows in by_clients.items()}
            for server, by_clients in findings.loads.items()
        },
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def plot(findings: Findings, path: Path) -> None:
    """Draws throughput over clients, each server's best configuration."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5))
    shown = _best_of_groups(findings)
    for server, colour in zip(shown, ("#1b5e8c", "#d1742f", "#6b9e4d", "#8a6fae"), strict=False):
        heights = [findings.typical(server, clients, "per_second") for clients in CLIENTS]
        axes.plot(range(len(CLIENTS)), heights, marker="o", color=colour, label=server, linewidth=2)
        axes.annotate(f"{heights[-1]:.0f}", (len(CLIENTS) - 1, heights[-1]), (6, -3), textcoords="offset points")
    raw = statistics.median(each["per_second"] for each in findings.raw)
    axes.axhline(raw, color="#444444", linestyle="--", linewidth=1, label="raw limit of the engine")
    axes.axhline(raw * 0.8, color="#999999", linestyle=":", linewidth=1, label="80 % of it")
    axes.set_xticks(range(len(CLIENTS)), [str(clients) for clients in CLIENTS])
    axes.set_xlabel("clients")
    axes.set_ylabel("answers a second")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncol=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _best_of_groups(findings: Findings) -> Sequence[str]:
    best: dict[str, str] = {}
    for server, group in findings.groups.items():
        speed = findings.typical(server, MOST, "per_second")
        if group not in best or speed > findings.typical(best[group], MOST, "per_second"):
            best[group] = server
    return list(best.values())


def _at_least(name: str, wanted: float, found: float) -> Goal:
    return Goal(name, f"≥ {wanted:g}", found, found >= wanted)


def _at_most(name: str, wanted: float, found: float) -> Goal:
    return Goal(name, f"≤ {wanted:g}", found, found <= wanted)
