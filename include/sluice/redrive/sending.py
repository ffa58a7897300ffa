"""Sends quarantined and dead-lettered events back to their source, in group order, and none twice.

An event that is sent back lands as a new message, after everything that its group has sent since. If its body is still
bad, it is quarantined again under its new message id. A message that holds several events is sent back as a whole. A
corrected contract needs no redrive: raw keeps every event, so a new run of the ``conform`` step conforms the events
where they first landed.

The ledger (:mod:`sluice.redrive.ledger`) lets only one redrive send a message, and only once. A FIFO queue also drops
the second of two equal sends within five minutes. If a redrive was stopped between a send and its record in the ledger,
it is unknown whether the message was sent. After those five minutes, the message counts as unknown and is sent again
only on request. ``conform`` counts an event once even if it was sent twice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import attrgetter

from sluice.declaration.sources import EventSource
from sluice.errors import SluiceError
from sluice.redrive.held import Choice, Where, quarantined_of, sources_named
from sluice.redrive.ledger import Ledger, State, entry_of
from sluice.redrive.messages import messages_of, with_landed_ids
from sluice.redrive.redriver import Outcome, Redriver
from sluice.sources.connecting import connect_events
from sluice.sources.contract import DeadLetters, Letter
from sluice.workspace import Workspace

_GROUPS_IN_PARALLEL = 8
_SHOWN_FAULTS = 3

_log = logging.getLogger(__name__)


class RedriveIncomplete(SluiceError):
    """Some messages were not sent back. The ledger has those that were, so no redrive sends them again."""


@dataclass(frozen=True)
class SentBack:
    """What a redrive did with the messages of one source in one place.

    Attributes:
        source: The name of the source.
        where: Where the messages were held back.
        sent: How many it sent.
        already: How many were sent before.
        unknown: For how many it is unknown whether they were sent before.
        failed: How many could not be sent.
        behind: How many were not sent because they follow a failed or unknown one in their group.
        undeleted: How many dead letters were sent back but are still on their queue; the next redrive deletes them.
        faults: Why messages could not be sent, one line each.
    """

    source: str
    where: Where
    sent: int = 0
    already: int = 0
    unknown: int = 0
    failed: int = 0
    behind: int = 0
    undeleted: int = 0
    faults: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return all of it in one line."""
        counts = (
            f"{self.sent} sent back, {self.already} sent before, perhaps {self.unknown} more, {self.behind} behind "
            f"these, {self.undeleted} not deleted, {self.failed} failed"
        )
        return f"{self.source}, {self.where}: {'; '.join([counts, *self.faults])}"


def send_back(workspace: Workspace, source: EventSource, choice: Choice) -> list[SentBack]:
    """Send back the selected events of one source, then check that the ledger has recorded them.

    Quarantined events go first, because they were received first. It is safe to stop at any point, to run again, and to
    run beside another redrive.

    Args:
        workspace: The pipeline.
        source: The source of the events.
        choice: Which events to send back.

    Returns:
        One result for each selected place.

    Raises:
        MissingResource: the pipeline has no such queue or stream.
        RedriveIncomplete: the ledger lacks a message that was sent, so something else changes the ledger.
    """
    connector = connect_events(workspace, source)
    redriver = Redriver(Ledger(workspace.lake, source.name), connector, choice.unknown)
    results: list[SentBack] = []
    with ThreadPoolExecutor(_GROUPS_IN_PARALLEL) as pool:
        if choice.includes("quarantine"):
            results.append(_send_quarantined(workspace, redriver, choice, pool))
        if choice.includes("dead_letters") and (letters := connector.dead_letters()) is not None:
            results.append(_send_dead_letters(letters, redriver, choice.limit, pool))
    return results


def send_back_all(workspace: Workspace, source: str | None, choice: Choice) -> list[SentBack]:
    """Send back the selected events of one source or all, and log each result.

    Args:
        workspace: The pipeline.
        source: The name of the source; None or empty for all.
        choice: Which events to send back.

    Returns:
        One result for each source and selected place.

    Raises:
        DeclarationError: there is no such source.
        MissingResource: the pipeline has no such queue or stream.
        RedriveIncomplete: as for :func:`send_back`.
    """
    sources = sources_named(workspace.pipeline, source)
    results = [result for each in sources for result in send_back(workspace, each, choice)]
    for each in results:
        _log.info("%s", each.describe())
    return results


def sent(results: Iterable[SentBack]) -> dict[str, int]:
    """Return how many messages were sent, by ``source/place``."""
    return {f"{each.source}/{each.where}": each.sent for each in results}


def _send_quarantined(workspace: Workspace, redriver: Redriver, choice: Choice, pool: Executor) -> SentBack:
    chosen = [each for each in quarantined_of(workspace, redriver.connector.source, choice) if choice.selects(each)]
    waiting = [each for each in chosen if entry_of(redriver.entries, each.of_message).state is not State.SENT]
    waiting.sort(key=attrgetter("group", "sequence_number", "message_id"))
    outcomes = redriver.send(messages_of(redriver.connector.landing, waiting[: choice.limit]), pool)
    done = _result(redriver, "quarantine", outcomes)
    return replace(done, already=done.already + len(chosen) - len(waiting))


def _send_dead_letters(dead: DeadLetters, redriver: Redriver, limit: int, pool: Executor) -> SentBack:
    """Send batch after batch. A letter that can't be sent stays hidden to the end, and blocks the rest of its group."""
    outcomes: dict[str, Outcome] = {}
    kept: list[Letter] = []
    undeleted = set[str]()
    try:
        while len(outcomes) < limit and (wave := dead.take(limit - len(outcomes))):
            done = redriver.send(with_landed_ids(redriver.connector.landing, [each.record for each in wave]), pool)
            outcomes = {**done, **outcomes}  # a message that is received again is counted once
            back = [letter for letter in wave if done[letter.record.message_id] in ("sent", "already")]
            undeleted -= {letter.record.message_id for letter in back}
            undeleted |= {letter.record.message_id for letter in dead.delete(back)}
            kept += [letter for letter in wave if letter not in back]
    finally:
        dead.put_back(kept)
    return replace(_result(redriver, "dead_letters", outcomes), undeleted=len(undeleted))


def _result(redriver: Redriver, where: Where, outcomes: Mapping[str, Outcome]) -> SentBack:
    """Count the outcomes. Raise RedriveIncomplete if the ledger lacks a message that was sent."""
    entries = redriver.ledger.entries()
    noted = {message_id for message_id in outcomes if entry_of(entries, message_id).state is State.SENT}
    for message_id, outcome in outcomes.items():
        if outcome in ("sent", "already") and message_id not in noted:
            raise RedriveIncomplete(
                f"{redriver.ledger.lake.uri(redriver.ledger.folder(message_id))} does not record that the message "
                f"was sent, but it was; something outside Sluice changes the ledger: stop it before the next redrive"
            )
    # Another redrive may have sent what this one could not send.
    counts = Counter(
        "sent" if outcome == "sent" else "already" if message_id in noted else outcome
        for message_id, outcome in outcomes.items()
    )
    return SentBack(
        source=redriver.connector.source.name,
        where=where,
        sent=counts["sent"],
        already=counts["already"],
        unknown=counts["unknown"],
        failed=counts["failed"],
        behind=counts["behind"],
        faults=tuple(redriver.faults[:_SHOWN_FAULTS]),
    )


def require_complete(results: Iterable[SentBack]) -> None:
    """Raise an error unless every selected message has been sent back.

    Raises:
        RedriveIncomplete: a message was not sent, may have been sent before, or was not deleted; the message has the
            counts and the next action.
    """
    for each in results:
        held = f"{each.source}, {each.where}"
        if each.failed:
            raise RedriveIncomplete(
                f"{held}: {each.failed} were not sent ({each.faults[0] if each.faults else 'no reason given'}), and "
                f"{each.behind} wait behind them; correct that and redrive again: what was sent is not sent twice"
            )
        if each.unknown:
            raise RedriveIncomplete(
                f"{held}: {each.unknown} may have been sent by a redrive that was stopped, and {each.behind} wait "
                f"behind them; check whether they landed, or send them again with unknown: conform counts each once"
            )
        if each.undeleted:
            raise RedriveIncomplete(
                f"{held}: {each.undeleted} were sent back but not deleted; redrive again in a minute to delete them"
            )
