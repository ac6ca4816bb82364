"""`zhiyin up`: everything of one machine, from what is missing to the line that says how to stop it."""

import asyncio
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli import tools
from cli.background_training import BackgroundTraining
from cli.bootstrap import Bootstrap, load_bootstrap
from cli.console import err, out
from cli.consul_process import passing
from cli.errors import CommandError
from cli.home import Home
from cli.ports import require_free
from cli.process import NeverReady, die_with_parent, wait_until
from cli.settings import CommandSettings
from cli.stack import SERVICES, Ports, Stack, has_shop
from cli.supervisor import Happening, Supervisor

__all__ = ["up"]

RUN_MEGABYTES = 300
PURPOSES = {
    "dialogue": "the dialogue service and its chat page",
    "login": "the login service",
    "intent": "the intent service",
    "business": "the business service",
    "worker": "the worker's health page",
    "redis": "Redis",
    "consul": "Consul's HTTP API",
    "consul_server": "Consul's server",
    "consul_gossip": "Consul's gossip",
    "shop": "the demo shop's own system",
}
CONSUL_PORTS = ("consul", "consul_server", "consul_gossip")
LOCAL_PORTS = ("redis", "shop", *CONSUL_PORTS)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(settings: CommandSettings, assistant: Path) -> None:
    """Makes a model if need be, starts everything, says where it is, and runs until a signal stops it.

    A model that was made quickly serves until the whole one has been trained in the background.

    Raises:
        EnvironmentUnfit: something is missing on this machine; nothing was started.
        NeverReady: a program did not start or kept ending; everything was stopped.
    """
    home = Home(settings.home)
    home.prepare(free_megabytes=RUN_MEGABYTES)
    with home.lock():
        redis = tools.find_redis()
        consul = consul_or_none(settings, home)
        check_ports(settings, with_consul=consul is not None, with_shop=has_shop(assistant))
        preliminary = make_model(assistant)
        stack = Stack(
            home=home,
            ports=ports_of(settings),
            redis=redis,
            consul=consul,
            bootstrap=load_bootstrap(home),
            assistant=assistant,
            host=settings.host,
            ready_seconds=settings.start_seconds,
        )
        asyncio.run(Session(stack, settings, train=preliminary).run())


def make_model(assistant: Path) -> bool:
    """Makes a model that can serve unless one is there, in a process of its own, which gives its memory back.

    Returns:
        Whether the whole model has yet to be trained.

    Raises:
        CommandError: there is none, and none could be made.
    """
    command = [sys.executable, "-m", "cli.main", "train", str(assistant), "--soon", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=die_with_parent(), check=False)
    if done.returncode != 0:
        raise CommandError(f"The model of {assistant.name} could not be made; the lines above say why.")
    return bool(json.loads(done.stdout)["preliminary"])


def consul_or_none(settings: CommandSettings, home: Home) -> Path | None:
    """Consul where it is wanted and can be had; one sentence where it cannot."""
    if settings.registry == "static":
        return None
    try:
        return tools.find_consul(home.tools, say=lambda text: err.print(f"{text} …"))
    except tools.ConsulUnavailable as error:
        err.print(
            Text(f"{error}; running with ZHIYIN_REGISTRY=static, at fixed addresses.", style="yellow"), soft_wrap=True
        )
        return None


def ports_of(settings: CommandSettings) -> Ports:
    """The ports that the settings choose."""
    return Ports(**{name: getattr(settings, f"{name}_port") for name in PURPOSES})


def check_ports(settings: CommandSettings, *, with_consul: bool, with_shop: bool) -> None:
    """Every port, before the first program is started.

    Raises:
        EnvironmentUnfit: one is taken; says by whom.
    """
    unused = (() if with_consul else CONSUL_PORTS) + (() if with_shop else ("shop",))
    wanted = [name for name in PURPOSES if name not in unused]
    local = [name for name in wanted if name in LOCAL_PORTS]
    served = [name for name in wanted if name not in local]
    for host, names in ((settings.host, served), ("127.0.0.1", local)):
        require_free(
            host,
            [(getattr(settings, f"{name}_port"), PURPOSES[name], f"ZHIYIN_{name.upper()}_PORT") for name in names],
        )


class Session:
    """One run of the stack, from its start to its stop."""

    def __init__(self, stack: Stack, settings: CommandSettings, *, train: bool = False) -> None:
        """Args:
        train: the whole model is trained beside what serves.
        """
        self._stack = stack
        self._train = train
        self._settings = settings
        self._signals = 0
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._supervisor = Supervisor(
            stack.stages(),
            home=stack.home,
            report=show,
            about={
                "registry": "consul" if stack.consul else "static",
                "consul_url": stack.consul_url,
                "installation": stack.installation,
                "chat_page": chat_page(settings),
                "assistant": str(stack.assistant),
            },
        )

    async def run(self) -> None:
        """Starts, waits, stops; a second signal ends everything at once."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        self._stack.prepare()
        try:
            await self._until_asked(self._serve())
        finally:
            await self._stop()

    async def _serve(self) -> None:
        with err.status("Starting"):
            await self._supervisor.start()
            await self._wait_passing()
        announce(self._settings, self._stack)
        training = asyncio.create_task(self._train_beside())
        try:
            await self._supervisor.run()
        finally:
            training.cancel()
            await asyncio.gather(training, return_exceptions=True)

    async def _train_beside(self) -> None:
        if not self._train:
            return
        try:
            await BackgroundTraining(self._stack).run(self._supervisor)
        except (CommandError, OSError, ValueError, KeyError) as error:
            err.print(Text(f"The background training failed: {error}", style="yellow"), soft_wrap=True)

    async def _wait_passing(self) -> None:
        if self._stack.consul is None:
            return
        missing: set[str] = set()

        async def look() -> bool:
            missing.clear()
            missing.update(set(SERVICES) - await passing(self._stack.registry, SERVICES))
            return not missing

        if not await wait_until(look, self._settings.start_seconds):
            names = ", ".join(sorted(missing))
            raise NeverReady(f"Not passing in Consul within {self._settings.start_seconds:.0f} s: {names}.", [])

    async def _until_asked(self, work: "asyncio._CoroutineLike[None]") -> None:
        running = asyncio.create_task(work)
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            for task in (running, asked):
                task.cancel()
            await asyncio.gather(running, asked, return_exceptions=True)

    async def _stop(self) -> None:
        stopping = asyncio.create_task(self._supervisor.stop())
        hurried = asyncio.create_task(self._hurried.wait())
        with err.status("Stopping"):
            await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            if not stopping.done():
                stopping.cancel()
                await asyncio.gather(stopping, return_exceptions=True)
                await self._supervisor.kill()
        err.print("Stopped.")

    def _on_signal(self) -> None:
        if self._asked.is_set():
            self._hurried.set()
        self._asked.set()


def show(happening: Happening) -> None:
    """A line for a person; what is only on its way is left to the spinner."""
    name, detail = happening.name, happening.detail
    match happening.kind:
        case "ready":
            err.print(f"[green]✓[/] {name}")
        case "died":
            err.print(f"[red]✗[/] {name} {detail}")
            for line in happening.tail:
                err.print(Text(f"    {line}", style="dim"), soft_wrap=True)
        case "restarting":
            err.print(f"  {name} is started again {detail}")
        case "gave_up":
            err.print(f"[red]{detail}[/]")
        case "stopped":
            err.print(f"[dim]– {name} stopped[/]")
        case "killed":
            err.print(f"[yellow]– {name} did not stop by itself and was killed[/]")


def chat_page(settings: CommandSettings) -> str:
    """Where a browser on this machine finds the chat page."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{host}:{settings.dialogue_port}"


def announce(settings: CommandSettings, stack: Stack) -> None:
    """What a person needs to go on: the page, the log-ins, a first message, and how to stop."""
    page = chat_page(settings)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    facts.add_row("Chat page", f"[link={page}]{page}[/link]")
    facts.add_row("Terminal", "zhiyin chat")
    facts.add_row("Log-ins", accounts(stack.bootstrap))
    facts.add_row("Passwords", Text(str(stack.bootstrap.path)))
    facts.add_row("Logs", Text(str(stack.home.logs)))
    facts.add_row("What runs", "zhiyin status")
    facts.add_row("Stop", "Ctrl-C")
    out.print(Panel(Group(facts), title="知音 Zhiyin is up", border_style="green", expand=False))
    out.print("A first message, to paste into a shell:", style="dim")
    # Pasted as it stands: never wrapped, and outside the panel's border.
    out.print(Text(curl_example(page)), soft_wrap=True)


def accounts(bootstrap: Bootstrap) -> str:
    """The accounts' names with their roles."""
    return ", ".join(f"{each['username']} ({each['customer'] or each['roles'][0]})" for each in bootstrap.accounts)


def curl_example(page: str) -> str:
    """A guest says something: three commands of a plain shell with nothing but curl and sed."""
    field = r"""sed 's/.*"{name}":"\([^"]*\)".*/\1/'"""
    body = shlex.quote('{"message_id": "hello-1", "text": "订单 20261103001 到哪了？"}')
    return "\n".join(
        (
            f"TOKEN=$(curl -s -X POST {page}/v1/auth/guest | {field.format(name='access_token')})",
            f'CHAT=$(curl -s -X POST {page}/v1/conversations -H "Authorization: Bearer $TOKEN" '
            f"| {field.format(name='id')})",
            f'curl -s {page}/v1/conversations/$CHAT/messages -H "Authorization: Bearer $TOKEN" '
            f"-H 'Content-Type: application/json' -d {body}",
        )
    )
