"""What `helm test` runs: logs in, chats a turn in each language, and follows one business action to its end.

Reads the accounts of `ZHIYIN_BOOTSTRAP_FILE` and talks to `ZHIYIN_URL`. Ends with 1 and a sentence at what is wrong.
"""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

URL = os.environ["ZHIYIN_URL"]
REPLY_SECONDS = float(os.environ["ZHIYIN_REPLY_SECONDS"])
ADDRESS = "上海市徐汇区漕溪北路398号1201室"
# Orders of the demo shop that are paid and not shipped; people who try it out may have cancelled one of them.
ORDERS = (("lilei", "20261103002"), ("hanmeimei", "20261104003"))
TURNS = (("zh", "你好", "[\u4e00-\u9fff]"), ("en", "hello, what can you do?", "[A-Za-z]{3}"))


class Failed(Exception):
    """Something is not as it should be."""


def tell(line: str) -> None:
    """Says how far it is."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def call(method: str, path: str, body: Any = None, token: str = "") -> Any:
    """The JSON that the gateway answers; tried again for a while when it answers nothing."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    until = time.monotonic() + REPLY_SECONDS
    while True:
        request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=REPLY_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > until:
                raise Failed(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error
        except OSError as error:
            if time.monotonic() > until:
                raise Failed(f"{method} {path}: {error}") from error
        time.sleep(1)


class Conversation:
    """A conversation of an account, or of a new guest."""

    def __init__(self, account: dict[str, Any] | None, language: str) -> None:
        if account is None:
            tokens = call("POST", "/v1/auth/guest", {})
        else:
            body = {"username": account["username"], "password": account["password"]}
            tokens = call("POST", "/v1/auth/login", body)
        self.token: str = tokens["access_token"]
        opened = call("POST", "/v1/conversations", {"language": language}, self.token)
        self.path = f"/v1/conversations/{opened['id']}"

    def say(self, text: str) -> list[dict[str, Any]]:
        """Says something; the replies."""
        # The same message id at every try, so that a message is heard once.
        answer = call("POST", f"{self.path}/messages", {"message_id": uuid.uuid4().hex, "text": text}, self.token)
        replies: list[dict[str, Any]] = answer["replies"]
        until = time.monotonic() + REPLY_SECONDS
        while not replies:
            if time.monotonic() > until:
                raise Failed(f"no reply to {text!r} within {REPLY_SECONDS:.0f} s")
            seen = self.behind(answer["message"]["seq"])
            replies = [event for event in seen if event["in_reply_to"] == answer["message"]["seq"]]
        tell(f"  > {text}\n  < " + "\n  < ".join(event["text"] for event in replies))
        return replies

    def behind(self, seq: int) -> list[dict[str, Any]]:
        """What was said behind `seq`; waits a while for the first of it."""
        events: list[dict[str, Any]] = call("GET", f"{self.path}/events?after={seq}&wait=5", token=self.token)["events"]
        return events


def change_address(account: dict[str, Any], order: str) -> bool:
    """Has the address of an order changed and waits for the result; false when the order is past that."""
    conversation = Conversation(account, "zh")
    asked = conversation.say(f"{order} 帮我改一下收货地址")
    if any(str(reply["data"].get("reply")) in ("address_too_late", "address_refused") for reply in asked):
        return False
    conversation.say(ADDRESS)
    last = conversation.say("确认")[-1]["seq"]
    until = time.monotonic() + REPLY_SECONDS
    while time.monotonic() < until:
        for event in conversation.behind(last):
            last = event["seq"]
            tell(f"  < {event['text']}")
            if "398" in event["text"]:
                return True
    raise Failed(f"no result of the changed address within {REPLY_SECONDS:.0f} s")


def main() -> None:
    """Everything, in order."""
    with open(os.environ["ZHIYIN_BOOTSTRAP_FILE"], encoding="utf-8") as file:
        accounts = {account["username"]: account for account in json.load(file)["accounts"]}
    demo = os.environ["ZHIYIN_ENVIRONMENT"] == "development"
    # Outside the demo the file has staff only, who replace their passwords.
    account = accounts.get("lilei") if demo else None
    for language, text, pattern in TURNS:
        tell(f"{account['username'] if account else 'a guest'} says something in {language}")
        replies = Conversation(account, language).say(text)
        if not re.search(pattern, replies[-1]["text"]):
            raise Failed(f"the reply is not in {language}: {replies[-1]['text']!r}")
    orders = [(accounts[name], order) for name, order in ORDERS if demo and name in accounts]
    if not orders:
        tell("no demo shop here, so no business action is tried")
        return
    tell("an address is changed")
    if not any(change_address(*each) for each in orders):
        raise Failed("no demo order can still have its address changed")
    tell("all is well")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(str(failure))
