"""The router's word on conversations: owners and epochs follow on each other, positions have no gap, no bot speaks over a person."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.sim.facts import Facts, Findings
from tests.sim.picture import Picture, Thread


class Conversations:
    """Checks every new event of `conversations` against the picture before it."""

    def __init__(self, facts: Facts, picture: Picture, findings: Findings) -> None:
        self._facts = facts
        self._picture = picture
        self._findings = findings
        self.judged: Counter[str] = Counter()

    def written(self, event: dict[str, Any]) -> None:
        """Check one event, and take it into the picture."""
        before = self._picture.threads.get(event["subject"]) or Thread()
        thread, data = event["subject"], event["data"]
        match event["type"]:
            case "parley.conversation.owner_changed.v1":
                if data["epoch"] != before.epoch + 1:
                    self._findings.report("epochs grow by one", f"{event['id']}: from {before.epoch} to {data['epoch']}", thread)
                if data["from"] != before.owner:
                    self._findings.report("owners follow on each other", f"{event['id']}: from {data['from']}, was {before.owner}", thread)
            case "parley.message.appended.v1" if data["position"] != before.position + 1:
                detail = f"{event['id']}: position {data['position']} after {before.position}"
                self._findings.report("positions without gap", detail, thread)
            case "parley.reply.approved.v1":
                self._judge(event, before)
            case "parley.reply.rejected.v1":
                self.judged[data["reply_id"]] += 1
        self._picture.take(event)

    def _judge(self, event: dict[str, Any], before: Thread) -> None:
        data = event["data"]
        self.judged[data["reply_id"]] += 1
        command = self._facts.first.get(("commands", event.get("causationid", "")))
        written_under = None if command is None else command["data"].get("epoch")
        if data["epoch"] != before.epoch or written_under not in {None, before.epoch}:
            detail = f"{event['id']}: written under epoch {written_under}, approved as of {data['epoch']}, it is {before.epoch}"
            self._findings.report("replies of their epoch", detail, event["subject"])
        if data["author"]["kind"] == "bot" and before.is_open and before.owner != "bot":
            detail = f"{event['id']}: a bot's reply was approved while {before.owner} owned the conversation"
            self._findings.report("no bot after a hand-off", detail, event["subject"])

    def reconcile(self) -> None:
        """Check, at the end of a run, that every customer's message is appended once and every reply judged once."""
        received = {event["data"]["message_id"]: event for event in self._facts.events["inbound"] if ".message.received." in event["type"]}
        appended: Counter[str] = Counter()
        approved: dict[str, str] = {}
        for event in self._facts.events["conversations"]:
            data = event["data"]
            if event["type"] == "parley.message.appended.v1" and data["direction"] == "in":
                appended[data["message_id"]] += 1
            elif event["type"] == "parley.reply.approved.v1":
                approved[data["reply_id"]] = event["subject"]
        for message_id, event in received.items():
            if appended[message_id] != 1:
                self._findings.report("messages reconcile", f"{message_id} was appended {appended[message_id]} times", event["subject"])
        self._reconcile_replies(approved)

    def _reconcile_replies(self, approved: dict[str, str]) -> None:
        """Check that a reply asked for is approved or rejected, once, and an approved one requested or withheld, once."""
        asked = {
            event["data"]["reply_id"]: event["subject"]
            for event in self._facts.events["commands"]
            if event["type"] in {"parley.reply.v1", "parley.send_template.v1"}
        }
        for reply_id, thread in asked.items():
            if self.judged[reply_id] != 1:
                self._findings.report("replies reconcile", f"{reply_id} was judged {self.judged[reply_id]} times", thread)
        gated = Counter(event["data"]["reply_id"] for event in self._facts.events["sends"])
        for reply_id, thread in approved.items():
            if gated[reply_id] != 1:
                self._findings.report("replies reconcile", f"{reply_id} was approved and gated {gated[reply_id]} times", thread)
