"""`zhiyin publish`, `releases` and `rollback`: an assistant's files into a running Zhiyin, and back."""

import asyncio
import time
from pathlib import Path
from typing import Any

from rich.status import Status
from rich.text import Text

from cli.check import findings_in
from cli.console import err, harmless, write_json
from cli.desk import Staff, show
from cli.errors import CommandError, NotReachable, UsageError
from cli.gateway import Gateway, Refused
from shared.assistants.bundle import digest_of, pack, read
from shared.assistants.clear_secrets import secrets_in
from shared.contracts.releases import Release, ReleaseList, ReleaseState
from shared.nlu.training_data import load_manifest

__all__ = ["publish", "releases", "rollback"]

LOOK_SECONDS = 0.3
PATIENCE_SECONDS = 60.0
ROLLBACK_TRIES = 3
"""For so long a Zhiyin that does not answer is asked again how far a release is."""
AWAY = (502, 503, 504)
COLUMNS = ("release", "state", "is", "model", "created", "reason")
DOING: dict[ReleaseState, str] = {
    "checking": "The files are checked on the server",
    "training": "The model is being made",
    "proving": "The services load it beside what serves",
}
DONE: dict[ReleaseState, str] = {
    "checking": "The files are good",
    "training": "The model is there",
    "proving": "Every service can use it",
}
"""What is said once a state has been left for a later one."""
ORDER: tuple[ReleaseState, ...] = ("checking", "training", "proving", "ready")


def publish(staff: Staff, folder: Path, *, name: str, live: bool, force: bool, as_json: bool) -> None:
    """Checks a folder, uploads it, and follows its release until it is live or refused.

    Raises:
        UsageError: the folder is another assistant than the one that is meant.
        CommandError: the files cannot be used, the release was refused, or the account may not.
        NotReachable: nobody answers; whatever was begun goes on there.
    """
    manifest = load_manifest(folder)
    if name and name != manifest.name:
        raise UsageError(f"{folder} is the assistant {manifest.name}, not {name}; its assistant.yml says so.")
    data = checked_bundle(folder)
    publishing = Publishing(staff, manifest.name, live=live, force=force)
    try:
        release = asyncio.run(publishing.run(data))
    except KeyboardInterrupt:
        if publishing.release is not None:
            err.print(f"The server goes on with {publishing.named}; {publishing.where}")
        raise
    if as_json:
        write_json(release.model_dump(mode="json"))


def checked_bundle(folder: Path) -> bytes:
    """A folder in which nothing is wrong, packed.

    Raises:
        CommandError: something is; each mistake was shown with its file and line.
    """
    mistakes, warnings = findings_in(folder)
    data = pack(folder)
    mistakes += secrets_in(read(data))
    for line in [*mistakes, *(f"warning: {each}" for each in warnings)]:
        err.print(harmless(line), soft_wrap=True, markup=False)
    if mistakes:
        count = "is a mistake" if len(mistakes) == 1 else f"are {len(mistakes)} mistakes"
        raise CommandError(f"{folder.name} was not published: there {count} in its files.")
    err.print(f"[green]✓[/] {folder.name} can be used: {len(data) // 1024 + 1} KiB")
    return data


class Publishing:
    """One upload with its release; `release` is how far it had come when it was last seen."""

    def __init__(self, staff: Staff, assistant: str, *, live: bool, force: bool) -> None:
        self._staff = staff
        self._assistant = assistant
        self._wishes = {"live": live, "force": force}
        self.release: Release | None = None

    @property
    def named(self) -> str:
        """The release in words."""
        return f"release {self.release.number if self.release else '?'} of {self._assistant}"

    @property
    def where(self) -> str:
        """How to see what becomes of it."""
        return f"`zhiyin releases {self._assistant}` shows how far it is."

    async def run(self, data: bytes) -> Release:
        """Uploads and follows; gives the release once it is ready."""
        async with self._staff.at_work() as gateway:
            before = await listed(gateway, self._assistant)
            digest = digest_of(data)
            with err.status("Uploading") as status:
                await gateway.upload(f"/v1/bundles/{digest}", data)
                asked = {"bundle": digest, **self._wishes}
                answer = await gateway.staff("POST", f"/v1/assistants/{self._assistant}/releases", asked)
                self.release = Release.model_validate(answer)
                release = await self._followed(gateway, self.release, status)
            if release.state == "refused":
                raise CommandError(f"{self.named.capitalize()} was refused: {harmless(release.reason)}")
            self._tell(before, await listed(gateway, self._assistant), release)
        return release

    async def _followed(self, gateway: Gateway, release: Release, status: Status) -> Release:
        """Shows each state that the release goes through, until it is ready or refused."""
        silent_since: float | None = None
        shown = release.state
        while True:
            for state in ORDER[ORDER.index(shown) :] if shown in ORDER else ():
                if release.state not in ORDER or ORDER.index(state) >= ORDER.index(release.state):
                    break
                err.print(f"[green]✓[/] {DONE[state]}")
            shown = release.state
            if release.state not in DOING:
                return release
            detail = f": {harmless(release.reason)}" if release.reason else ""
            status.update(Text(f"{DOING[release.state]}{detail}"))
            await asyncio.sleep(LOOK_SECONDS)
            try:
                path = f"/v1/assistants/{self._assistant}/releases/{release.id}"
                release = self.release = Release.model_validate(await gateway.staff("GET", path))
                silent_since = None
            except (NotReachable, Refused) as error:
                if isinstance(error, Refused) and error.status not in AWAY:
                    raise
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > PATIENCE_SECONDS:
                    raise NotReachable(f"{error} It may be going on with {self.named}; {self.where}") from error

    def _tell(self, before: ReleaseList, after: ReleaseList, release: Release) -> None:
        """Which release is live, which model it goes by, and how to go back."""
        live = production(after)
        if live is None or live.bundle != release.bundle:
            err.print(f"[green]✓[/] {self.named.capitalize()} is ready and not live.", soft_wrap=True)
            if self._wishes["live"]:
                err.print("Another release was published after it.", soft_wrap=True)
            else:
                err.print(f"`zhiyin rollback {self._assistant} {release.number}` makes it live.", soft_wrap=True)
            return
        err.print(f"[green]✓[/] Release {live.number} of {self._assistant} is live.", soft_wrap=True)
        was = production(before)
        if was is not None and was.model_version == live.model_version:
            err.print(f"  Its model is the one that served before, {live.model_version}.", soft_wrap=True)
        elif live.model_version:
            err.print(f"  Its model is {live.model_version}.", soft_wrap=True)
        if live.preliminary:
            err.print("  The whole model is trained in the background, and goes live by itself.", soft_wrap=True)
        if after.previous is not None:
            back = f"`zhiyin rollback {self._assistant}` goes back to release {after.previous.number}."
            err.print(f"  {back}", soft_wrap=True)


def releases(staff: Staff, assistant: str, *, as_json: bool) -> None:
    """Shows the releases of an assistant, the newest first.

    Raises:
        CommandError: it has none, or the account may not.
    """
    asyncio.run(_releases(staff, assistant, as_json))


async def _releases(staff: Staff, assistant: str, as_json: bool) -> None:
    async with staff.at_work() as gateway:
        found = await everything(gateway, assistant)
    if as_json:
        write_json(found.model_dump(mode="json"))
        return
    require_some(found, assistant)
    aliases: dict[str, list[str]] = {}
    for each in found.aliases:
        share = "" if each.alias == "production" else f" {100 * each.share:g} %"
        aliases.setdefault(each.release.id, []).append(f"{each.alias}{share}")
    rows: list[dict[str, Any]] = [
        {
            "release": each.number,
            "state": each.state,
            "is": ", ".join(aliases.get(each.id, ())),
            "model": each.model_version + (" (first)" if each.preliminary else ""),
            "created": f"{each.created_at:%Y-%m-%d %H:%M}",
            "reason": each.reason,
        }
        for each in found.releases
    ]
    show(rows, COLUMNS, as_json=False)


def rollback(staff: Staff, assistant: str, wanted: str | None, *, as_json: bool) -> None:
    """Moves `production` to a release that was there before, or to the one that is named by its number or id.

    Raises:
        CommandError: there is no such release, or somebody else has moved it meanwhile.
    """
    asyncio.run(_rollback(staff, assistant, wanted, as_json))


async def _rollback(staff: Staff, assistant: str, wanted: str | None, as_json: bool) -> None:
    async with staff.at_work() as gateway:
        found = await everything(gateway, assistant)
        require_some(found, assistant)
        left = production(found)
        for tries_left in reversed(range(ROLLBACK_TRIES)):
            current, target = production(found), target_of(found, assistant, wanted)
            body = {"release": target.id, "expected": current.id if current is not None else ""}
            try:
                moved = await gateway.staff("PUT", f"/v1/assistants/{assistant}/aliases/production", body)
                break
            except Refused as refused:
                found = await everything(gateway, assistant)
                now_live = production(found)
                # The whole model of the same files has come to its first one: that is what is gone back from.
                same = left is not None and now_live is not None and now_live.bundle == left.bundle
                if refused.status != 409 or not same or not tries_left:
                    raise
    if as_json:
        write_json(moved)
        return
    was = f" It was release {current.number}." if current is not None and current.id != target.id else ""
    err.print(f"[green]✓[/] Release {target.number} of {assistant} is live.{was}", soft_wrap=True)


def target_of(found: ReleaseList, assistant: str, wanted: str | None) -> Release:
    """The release to go back to: the one before, or the one that is named by its number or id.

    Raises:
        CommandError: there is none.
    """
    if wanted is None:
        if found.previous is None:
            raise CommandError(f"{assistant} has no release to go back to; {see(assistant)}")
        return found.previous
    target = next((each for each in found.releases if wanted in (str(each.number), each.id)), None)
    if target is None:
        raise CommandError(f"{assistant} has no release {harmless(wanted)}; {see(assistant)}")
    return target


async def listed(gateway: Gateway, assistant: str, query: str = "limit=1") -> ReleaseList:
    """A page of the releases of an assistant."""
    return ReleaseList.model_validate(await gateway.staff("GET", f"/v1/assistants/{assistant}/releases?{query}"))


async def everything(gateway: Gateway, assistant: str) -> ReleaseList:
    """All releases of an assistant."""
    found = page = await listed(gateway, assistant, "limit=100")
    while page.next_before is not None:
        page = await listed(gateway, assistant, f"limit=100&before={page.next_before}")
        found = found.model_copy(update={"releases": [*found.releases, *page.releases]})
    return found


def production(found: ReleaseList) -> Release | None:
    """The release that is live."""
    return next((each.release for each in found.aliases if each.alias == "production"), None)


def require_some(found: ReleaseList, assistant: str) -> None:
    """Says so where nothing was ever published."""
    if not found.releases:
        raise CommandError(f"{assistant} was never published; `zhiyin publish` does it.")


def see(assistant: str) -> str:
    """Where to look."""
    return f"`zhiyin releases {assistant}` lists them."
