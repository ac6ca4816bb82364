"""The `zhiyin` command. What a command needs is imported when it runs, so that `--help` answers at once.

One module because a command here is only its options and a call of what does the work.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.errors import CommandError, EnvironmentUnfit, UsageError

if TYPE_CHECKING:
    from cli.desk import Staff
    from cli.home import Home
    from cli.settings import CommandSettings

__all__ = ["app", "main"]

DEMO = Path("assistants/shop")
INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

connector = typer.Typer(no_args_is_help=True, help="Call the company's systems as business does.")
imports = typer.Typer(no_args_is_help=True, help="Draft an assistant's files from what a system says of itself.")
app.add_typer(connector, name="connector")
app.add_typer(imports, name="import")

AssistantArgument = Annotated[Path, typer.Argument(metavar="ASSISTANT", help="The assistant's folder, or its name.")]
AliasName = Literal["production", "canary", "shadow"]
GatewayOption = Annotated[str | None, typer.Option("--url", help="Where Zhiyin is; by default the one that runs here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for a script.")]


def main() -> None:
    """The entry point: an error becomes one sentence on standard error and an exit code."""
    from rich.text import Text

    from cli.console import err, harmless, prepare_streams

    prepare_streams()

    def say(sentence: str) -> None:
        err.print(Text(harmless(sentence), style="red"), soft_wrap=True)

    try:
        app()
    except CommandError as error:
        say(str(error))
        for line in getattr(error, "tail", ()):
            err.print(Text(f"    {line}", style="dim"), soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        say(os_sentence(error))
        sys.exit(EnvironmentUnfit.exit_code)
    except Exception as error:
        from shared.errors import ZhiyinError

        if not isinstance(error, ZhiyinError):
            raise
        say(str(error))
        sys.exit(CommandError.exit_code)


def show_version(wanted: bool) -> None:
    """Writes the version and ends the command."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"zhiyin {version('zhiyin')}")
        raise typer.Exit


@app.callback()
def command(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Zhiyin 知音: customer service that understands Chinese and English."""


def os_sentence(error: OSError) -> str:
    """What the system refused, in a sentence."""
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or type(error).__name__}{where}."


def opened() -> "tuple[CommandSettings, Home]":
    """The settings and the state folder that they name."""
    from cli.console import keep_logs_out
    from cli.home import Home
    from cli.settings import load_settings

    keep_logs_out()
    settings = load_settings()
    return settings, Home(settings.home)


@app.command()
def up(assistant: AssistantArgument = DEMO) -> None:
    """Start everything on this machine; Ctrl-C stops it.

    Redis, Consul, the services and the worker run below one supervisor. Without a trained model a quick one is made
    first, and the whole one is trained in the background and swapped in.
    """
    from cli.settings import assistant_folder
    from cli.up import up as run

    settings, _ = opened()
    run(settings, assistant_folder(assistant))


@app.command()
def chat(
    username: Annotated[str | None, typer.Option(help="Log in as this account; without it, as a guest.")] = None,
    conversation: Annotated[str | None, typer.Option(metavar="ID", help="Go on with this conversation.")] = None,
    language: Annotated[
        Literal["zh", "en"] | None, typer.Option(help="The language to begin in; replies follow what is said.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where Zhiyin is; by default the one that runs here.")] = None,
    linger: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds without news to wait for after piped input has ended.")
    ] = 2.0,
) -> None:
    """Chat in the terminal; replies and follow-ups show as they come. Input may be piped."""
    import asyncio

    from cli.chat import ChatOptions, password_of
    from cli.chat import chat as hold
    from cli.console import out
    from cli.up import chat_page

    settings, home = opened()
    run = home.read_run()
    options = ChatOptions(
        url=url or (str(run["chat_page"]) if run else chat_page(settings)),
        language=language,
        username=username,
        password=password_of(home, username) if username else None,
        conversation=conversation,
        linger_seconds=linger,
    )
    asyncio.run(hold(options, home, out))


@app.command()
def train(
    assistant: AssistantArgument = DEMO,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only teach the model in production its new intents, in seconds.")
    ] = False,
    soon: Annotated[
        bool,
        typer.Option("--soon", help="If there is none yet, only make one that can serve soon, in a minute or two."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train an assistant's model, evaluate it on its held-out sentences and put it into production.

    The model that is there stays when utterances and settings are those it was trained with.
    """
    from cli.settings import assistant_folder
    from cli.training import train as run

    settings, home = opened()
    run(assistant_folder(assistant), home, quick=quick, soon=soon, mlflow_uri=settings.mlflow_uri, as_json=as_json)


@app.command()
def models(assistant: AssistantArgument = DEMO, as_json: JsonOption = False) -> None:
    """List the registered versions of an assistant's model, with their aliases and figures."""
    from cli.settings import assistant_folder
    from cli.training import list_models as run

    settings, home = opened()
    run(assistant_folder(assistant), home, mlflow_uri=settings.mlflow_uri, as_json=as_json)


@app.command()
def promote(
    assistant: AssistantArgument,
    version: Annotated[str, typer.Argument(help="A version that `zhiyin models` lists, or an alias of one.")],
    alias: Annotated[AliasName, typer.Option(help="What it is to be.")] = "production",
    force: Annotated[bool, typer.Option("--force", help="Put it in production although it is worse.")] = False,
) -> None:
    """Put a version in production, or make it the canary or the shadow; what serves follows within seconds.

    A version whose figures are more than a point below those in production is refused.
    """
    from cli.settings import assistant_folder
    from cli.training import promote as run

    settings, home = opened()
    run(assistant_folder(assistant), home, version, alias=alias, force=force, mlflow_uri=settings.mlflow_uri)


@app.command()
def withdraw(
    assistant: AssistantArgument,
    alias: Annotated[Literal["canary", "shadow"], typer.Argument(help="What there is to be no more.")],
) -> None:
    """Take the canary or the shadow away."""
    from cli.settings import assistant_folder
    from cli.training import withdraw as run

    settings, home = opened()
    run(assistant_folder(assistant), home, alias, mlflow_uri=settings.mlflow_uri)


@app.command()
def evaluate(
    assistant: AssistantArgument = DEMO,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Measure too what other ways of writing cost: typos, homophones, …")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the model in production on the assistant's held-out sentences."""
    from cli.settings import assistant_folder
    from cli.training import evaluate as run

    _, home = opened()
    run(assistant_folder(assistant), home, robustness=robustness, as_json=as_json)


@app.command()
def quantise(
    assistant: AssistantArgument = DEMO,
    model: Annotated[str, typer.Option(help="The version; by default the one in production.")] = "",
    max_drop: Annotated[
        float, typer.Option(min=0, max=100, help="Points of accuracy on the validation part that may be lost.")
    ] = 0.5,
    as_json: JsonOption = False,
) -> None:
    """Make a version with an 8-bit form of a trained model, if that understands as well."""
    from cli.quantisation import quantise as run
    from cli.settings import assistant_folder

    settings, home = opened()
    run(
        assistant_folder(assistant),
        home,
        version=model,
        max_drop=max_drop / 100,
        mlflow_uri=settings.mlflow_uri,
        as_json=as_json,
    )


@app.command()
def check(assistant: AssistantArgument = DEMO, as_json: JsonOption = False) -> None:
    """Say what is wrong in an assistant's files, in about a second and without a model."""
    from cli.check import check as run
    from cli.settings import assistant_folder

    opened()
    run(assistant_folder(assistant), as_json=as_json)


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="Where; its last part is the assistant's name.")]) -> None:
    """Write the folder of a new assistant to build on."""
    from cli.console import err
    from cli.new import new as run

    opened()
    run(folder)
    said = (
        f"[green]✓[/] {folder} is there. `zhiyin check {folder}` reads it, `zhiyin train {folder} --soon` teaches it, "
        f"`zhiyin test {folder}` holds its conversations."
    )
    err.print(said, soft_wrap=True)


@app.command("schema")
def write_schemas(folder: AssistantArgument = DEMO) -> None:
    """Write the JSON Schemas by which an editor completes an assistant's files, into its folder's .schemas/."""
    from cli.console import err
    from cli.schemas import write_schemas as run
    from cli.settings import assistant_folder

    opened()
    written = run(assistant_folder(folder))
    err.print(f"[green]✓[/] {len(written)} schemas are in {written[0].parent}.", soft_wrap=True)


@connector.command("try")
def connector_try(
    assistant: AssistantArgument,
    name: Annotated[str, typer.Argument(metavar="CONNECTOR.NAME", help="A look-up or an action.")],
    customer: Annotated[str | None, typer.Option(help="The number of the customer who asks.")] = None,
    argument: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An argument; may be given several times.")
    ] = None,
    language: Annotated[Literal["zh", "en"], typer.Option(help="The conversation's language.")] = "zh",
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A secret; else it is in ZHIYIN_SECRET_DEFAULT_<ASSISTANT>_<NAME>."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where the system is, if not where the connector says.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Make the action without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Call a company's system once, and show what was asked, what came back and what it comes to."""
    import asyncio

    from cli.connector_try import Attempt, pairs, try_out
    from cli.settings import assistant_folder

    _, home = opened()
    attempt = Attempt(
        name=name,
        customer=customer,
        language=language,
        arguments=pairs(argument or [], "--argument"),
        secrets=pairs(secret or [], "--secret"),
        url=url,
        yes=yes,
    )
    asyncio.run(try_out(assistant_folder(assistant), attempt, kept=home.secrets, as_json=as_json))


@imports.command("openapi")
def import_openapi(
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="An OpenAPI 3 document; a URL begins with https.")],
    system: Annotated[str, typer.Option(help="What the connector is to be called.")] = "core",
    assistant: Annotated[Path, typer.Option(metavar="ASSISTANT", help="Whose connectors/ it is written to.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over the connector that is there.")] = False,
) -> None:
    """Draft connectors/SYSTEM.yml from the OpenAPI document of a company's system."""
    from cli.openapi_import import import_openapi as run
    from cli.settings import assistant_folder

    opened()
    run(source, system, assistant_folder(assistant), force=force)


@app.command("test")
def hold_tests(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ASSISTANT|FILE[::NAME]", help="An assistant, a file of its tests/, or one conversation."
        ),
    ] = str(DEMO),
    real: Annotated[bool, typer.Option("--real", help="Ask the systems, not their recorded answers.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Ask the systems, and write their answers to connectors/recorded/.")
    ] = False,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="CONNECTOR=URL", help="With --real or --record: where a system is, if elsewhere."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the conversations in the assistant's tests/ with its real model and its systems' recorded answers.

    With --real and --record the systems do what the conversations ask for: use one that is there for tests.
    """
    from cli.assistant_tests import chosen
    from cli.assistant_tests import hold_tests as run
    from cli.connector_try import pairs
    from cli.settings import assistant_folder

    _, home = opened()
    if real and record:
        raise UsageError("One thing at a time: --real or --record.")
    if url and not (real or record):
        raise UsageError("--url goes with --real or --record.")
    folder, choice = chosen(what)
    run(
        assistant_folder(folder),
        home,
        choice,
        answers="record" if record else "real" if real else "recorded",
        urls=pairs(url or [], "--url"),
        as_json=as_json,
    )


rules_app = typer.Typer(no_args_is_help=True, help="Show, try and learn an assistant's rules: decision tables.")
app.add_typer(rules_app, name="rules")
RuleArgument = Annotated[str, typer.Argument(metavar="NAME", help="A rule: its file in rules/ without .json.")]


@rules_app.command("show")
def show_rules(
    assistant: AssistantArgument,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A rule; without it, list them.")] = None,
) -> None:
    """Show a rule as a table that a person can read."""
    from cli.rules import show as run
    from cli.settings import assistant_folder

    opened()
    run(assistant_folder(assistant), name)


@rules_app.command("try")
def try_rule(
    assistant: AssistantArgument,
    name: RuleArgument,
    facts: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE …", help="The facts.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a rule gives for some facts, and which row decides."""
    from cli.rules import try_out as run
    from cli.settings import assistant_folder

    opened()
    run(assistant_folder(assistant), name, facts or [], as_json=as_json)


@rules_app.command("learn")
def learn_rule(
    assistant: AssistantArgument,
    name: RuleArgument,
    decisions: Annotated[
        Path, typer.Option("--from", metavar="FILE", help="Past decisions: CSV whose first line names the columns.")
    ],
    outcome: Annotated[str, typer.Option(help="The column that says what was decided.")],
    facts: Annotated[str, typer.Option(help="Columns to learn from, with commas; by default all that can be.")] = "",
    depth: Annotated[int, typer.Option(min=1, max=8, help="Facts that are asked in a row at most.")] = 4,
    leaf: Annotated[int, typer.Option(min=1, max=100_000, help="Past decisions behind a row, at least.")] = 10,
    replace: Annotated[bool, typer.Option("--replace", help="Write over the table that is there.")] = False,
) -> None:
    """Learn a table from past decisions: a small decision tree, to be read and changed by a person."""
    from cli.rules import learn as run
    from cli.settings import assistant_folder

    opened()
    only = [each.strip() for each in facts.split(",") if each.strip()]
    folder = assistant_folder(assistant)
    run(folder, name, decisions, outcome=outcome, only=only, depth=depth, leaf=leaf, replace=replace)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show every registered instance: its address, version, model and health. Fails when one is not passing."""
    import asyncio

    from cli.console import out, write_json
    from cli.status import instances, status_table

    settings, home = opened()
    found = asyncio.run(instances(settings, home))
    if as_json:
        write_json([each.document() for each in found])
    else:
        out.print(status_table(found))
    missing = [each.service for each in found if each.health == "missing"]
    sick = [each.id for each in found if each.health not in ("passing", "missing")]
    if missing or sick or not found:
        said = [f"Not registered: {', '.join(missing)}."] if missing else []
        said += [f"Not passing: {', '.join(sick)}."] if sick else []
        raise CommandError(" ".join(said) or "Nothing is registered.")


def staff(username: str, url: str | None) -> "Staff":
    """The account that asks, at the Zhiyin that runs here or at the gateway that is named."""
    from cli.chat import password_of
    from cli.desk import Staff
    from cli.up import chat_page

    settings, home = opened()
    run = home.read_run()
    return Staff(
        username=username,
        password=password_of(home, username),
        url=url or (str(run["chat_page"]) if run else chat_page(settings)),
    )


@app.command()
def approve(
    action: Annotated[str | None, typer.Argument(metavar="[ACTION]", help="What to decide on.")] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Say no.")] = False,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    username: Annotated[str, typer.Option(help="An account of an agent.")] = "agent",
    url: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve or reject what waits for a person; without an action, list what waits."""
    import asyncio

    from cli.desk import approve as run

    asyncio.run(run(staff(username, url), action, yes=not reject, note=note, as_json=as_json))


@app.command()
def handoffs(
    handoff: Annotated[int | None, typer.Argument(metavar="[ID]", min=1, help="Which one.")] = None,
    claim: Annotated[bool, typer.Option("--claim", help="Take the conversation; only who has it answers.")] = False,
    reply: Annotated[str | None, typer.Option(help="Say this to the customer.")] = None,
    close: Annotated[bool, typer.Option("--close", help="Give the conversation back to the assistant.")] = False,
    note: Annotated[str | None, typer.Option(help="With --close: what was agreed; the customer reads it.")] = None,
    username: Annotated[str, typer.Option(help="An account of an agent.")] = "agent",
    url: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer who waits for a person: claim, reply, close; without an ID, list who waits and for how long."""
    import asyncio

    from cli.handoffs import Wish
    from cli.handoffs import handoffs as run

    wish = Wish(claim=claim, reply=reply, close=close, note=note)
    asyncio.run(run(staff(username, url), handoff, wish, as_json=as_json))


def assistant_name(given: str) -> str:
    """The name of an assistant, given by itself or as its folder."""
    from cli.settings import assistant_folder
    from shared.nlu.training_data import load_manifest

    if "/" in given or Path(given).is_dir():
        return load_manifest(assistant_folder(Path(given))).name
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", given):
        raise UsageError(f"{given!r} is no name of an assistant.")
    return given


@app.command()
def publish(
    assistant: AssistantArgument,
    to: Annotated[str | None, typer.Option("--to", help="Where Zhiyin is; by default the one that runs here.")] = None,
    name: Annotated[str, typer.Option(help="Publish only if the folder is this assistant.")] = "",
    no_live: Annotated[bool, typer.Option("--no-live", help="Leave it ready, and do not go live.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if its model is worse than the one before.")] = False,
    username: Annotated[str, typer.Option(help="An account of an operator.")] = "operator",
    as_json: JsonOption = False,
) -> None:
    """Publish an assistant's folder into a running Zhiyin: checked, trained, proven, live.

    Nothing is restarted. Ctrl-C stops only the watching.
    """
    from cli.publish import publish as run
    from cli.settings import assistant_folder

    folder = assistant_folder(assistant)
    run(staff(username, to), folder, name=name, live=not no_live, force=force, as_json=as_json)


@app.command()
def releases(
    assistant: Annotated[str, typer.Argument(help="The assistant's name, or its folder.")],
    username: Annotated[str, typer.Option(help="An account of an operator.")] = "operator",
    url: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the releases of an assistant, with which are live and why one was refused."""
    from cli.publish import releases as run

    run(staff(username, url), assistant_name(assistant), as_json=as_json)


@app.command()
def rollback(
    assistant: Annotated[str, typer.Argument(help="The assistant's name, or its folder.")],
    release: Annotated[str | None, typer.Argument(help="Its number; by default the one before.")] = None,
    username: Annotated[str, typer.Option(help="An account of an operator.")] = "operator",
    url: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an older release of an assistant live again, at once."""
    from cli.publish import rollback as run

    run(staff(username, url), assistant_name(assistant), release, as_json=as_json)


@app.command("dead-letters")
def dead_letters(
    retry: Annotated[int | None, typer.Option(metavar="ID", min=1, help="Have this one tried again.")] = None,
    dismiss: Annotated[int | None, typer.Option(metavar="ID", min=1, help="Leave this one as it is.")] = None,
    happened: Annotated[int | None, typer.Option(metavar="ID", min=1, help="What was unknown has happened.")] = None,
    not_happened: Annotated[int | None, typer.Option(metavar="ID", min=1, help="It has not happened.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is left so, or how it was found out.")] = None,
    username: Annotated[str, typer.Option(help="An account of an operator.")] = "operator",
    url: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages that were given up, have one tried again, dismiss it, or say what became of an unknown one."""
    import asyncio

    from cli.desk import dead_letters as run

    found_out = happened if happened is not None else not_happened
    if sum(each is not None for each in (retry, dismiss, happened, not_happened)) > 1:
        raise UsageError("One thing at a time: --retry, --dismiss, --happened or --not-happened.")
    if (dismiss is None and found_out is None) != (reason is None):
        raise UsageError("--reason TEXT goes with --dismiss, --happened or --not-happened, and they need it.")
    resolve = None if found_out is None else (found_out, happened is not None)
    asyncio.run(
        run(staff(username, url), retry=retry, dismiss=dismiss, resolve=resolve, reason=reason, as_json=as_json)
    )


@app.command("reset-demo")
def reset_demo() -> None:
    """Make the demo shop what it was on its first day: nothing refunded, changed or cancelled.

    It may run meanwhile. Refused in production.
    """
    import asyncio

    from cli.console import err
    from cli.demo import reset

    _, home = opened()
    home.prepare()
    orders = asyncio.run(reset(home))
    err.print(f"[green]✓[/] The demo shop has its {orders} orders again.")


@app.command()
def migrate(service: Annotated[str, typer.Argument(help="login, dialogue, business, …")]) -> None:
    """Bring a service's database to the newest schema; it is waited for, and made where it is missing."""
    import asyncio

    from cli.console import err
    from shared.settings import ServiceSettings
    from shared.storage.migrations import bring_up, services_with_tables

    _, home = opened()
    known = services_with_tables()
    if service not in known:
        raise UsageError(f"There is no service {service!r} with a database; there are {', '.join(known)}.")
    home.prepare()
    asyncio.run(bring_up(service, ServiceSettings(), upgrade=True, say=lambda text: err.print(f"{text} …")))
    err.print(f"The database of {service} has the newest schema.")


@app.command()
def tools(
    require: Annotated[bool, typer.Option("--require", help="Fail where Consul cannot be had.")] = False,
) -> None:
    """Find Redis and Consul, fetch what is missing, and show where they are."""
    from cli import tools as found
    from cli.console import err, out

    _, home = opened()
    home.prepare()
    programs = [found.find_redis()]
    try:
        programs.append(found.find_consul(home.tools, say=lambda text: err.print(f"{text} …")))
    except found.ConsulUnavailable as error:
        if require:
            raise
        err.print(f"[yellow]{error}; Zhiyin runs without it, with ZHIYIN_REGISTRY=static.[/]")
    for program in programs:
        out.print(f"{program.name}: {program} ({found.program_version(program)})", soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
