"""Sends quarantined and dead-lettered events back to their source, in group order, and none twice.

An event that is sent back lands as a new message, behind what its group has sent meanwhile. If its body is still bad,
it is quarantined again under its new message id. A contract that was corrected needs no redrive: raw has kept
everything, so a new run of the ``conform`` step conforms its events in their first place.

The ledger (:mod:`sluice.redrive.ledger`) lets only one redrive send a message, and only once. A FIFO queue also drops
the second of two equal sends within five minutes. If a redrive was stopped between a send and its record in the ledger,
it is unknown whether the message was sent. After those five minutes the message is counted as unknown and sent again
only on request; ``conform`` counts a doubled event once.
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
from sluice.redrive.couriers import Courier, Outcome
from sluice.redrive.held import Choice, Where, quarantined_of, sources_named
from sluice.redrive.ledger import Ledger, State, known
from sluice.redrive.quarantined import records_of
from sluice.sources.contract import DeadLetters, Letter, connect_events
from sluice.workspace import Workspace

_SIDE_BY_SIDE = 8
_SHOWN_FAULTS = 3

_log = logging.getLogger(__name__)


class RedriveIncomplete(SluiceError):
    """Something was not sent back. What was sent is recorded, so the next redrive does not send it again."""


@dataclass(frozen=True)
class SentBack:
    """What a redrive did with the messages of one source in one place.

    Attributes:
        sent: How many it sent.
        already: How many were sent before.
        unknown: Of how many it is unknown whether they were sent before.
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


def send_back(workspace: Workspace, source: EventSource, choice: Choice) -> list[SentBack]:
    """Send back what the choice selects, then check that the ledger has recorded it.

    Quarantined events go first, because they were received first. It is safe to stop at any point, to run again, and to
    run beside another redrive.

    Returns:
        One result for each selected place.

    Raises:
        MissingResource: the pipeline has no such queue or stream.
        RedriveIncomplete: the ledger lacks a message that was sent, so something else changes the ledger.
    """
    connector = connect_events(workspace, source)
    courier = Courier(Ledger(workspace.lake, source.name), connector, choice.unknown)
    results: list[SentBack] = []
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        if choice.covers("quarantine"):
            results.append(_send_quarantined(workspace, courier, choice, pool))
        if choice.covers("dead_letters") and (letters := connector.dead_letters()) is not None:
            results.append(_send_dead_letters(letters, courier, choice.limit, pool))
    return results


def send_back_all(workspace: Workspace, source: str | None, choice: Choice) -> list[SentBack]:
    """:func:`send_back` of the source of that name, or of all. Each result is logged."""
    sources = sources_named(workspace.pipeline, source)
    results = [result for each in sources for result in send_back(workspace, each, choice)]
    for each in results:
        _log.info("%s", each)
    return results


def sent(results: Iterable[SentBack]) -> dict[str, int]:
    """How many messages were sent, by ``source/place``."""
    return {f"{each.source}/{each.where}": each.sent for each in results}


def _send_quarantined(workspace: Workspace, courier: Courier, choice: Choice, pool: Executor) -> SentBack:
    chosen = [each for each in quarantined_of(workspace, courier.connector.source, choice) if choice.takes(each)]
    waiting = [each for each in chosen if known(courier.entries, each.message_id).state is not State.SENT]
    waiting.sort(key=attrgetter("group", "sequence_number", "message_id"))
    outcomes = courier.carry(records_of(workspace.lake, waiting[: choice.limit]), pool)
    done = _result(courier, "quarantine", outcomes)
    return replace(done, already=done.already + len(chosen) - len(waiting))


def _send_dead_letters(dead: DeadLetters, courier: Courier, limit: int, pool: Executor) -> SentBack:
    """Send batch after batch. What can't be sent stays hidden until the end, and blocks the rest of its group."""
    outcomes: dict[str, Outcome] = {}
    kept: list[Letter] = []
    undeleted = set[str]()
    try:
        while len(outcomes) < limit and (wave := dead.take(limit - len(outcomes))):
            done = courier.carry([letter.record for letter in wave], pool)
            outcomes = {**done, **outcomes}  # a message that is received again is counted once
            back = [letter for letter in wave if done[letter.record.message_id] in ("sent", "already")]
            undeleted -= {letter.record.message_id for letter in back}
            undeleted |= {letter.record.message_id for letter in dead.delete(back)}
            kept += [letter for letter in wave if letter not in back]
    finally:
        dead.put_back(kept)
    return replace(_result(courier, "dead_letters", outcomes), undeleted=len(undeleted))


def _result(courier: Courier, where: Where, outcomes: Mapping[str, Outcome]) -> SentBack:
    """Count the outcomes. Raises RedriveIncomplete if the ledger lacks a message that was sent."""
    entries = courier.ledger.entries()
    noted = {message_id for message_id in outcomes if known(entries, message_id).state is State.SENT}
    for message_id, outcome in outcomes.items():
        if outcome in ("sent", "already") and message_id not in noted:
            raise RedriveIncomplete(
                f"{courier.ledger.lake.uri(courier.ledger.place(message_id))} does not say that the message was sent, "
                f"but it was; something outside Sluice changes the ledger: stop it before the next redrive"
            )
    # Another redrive may have sent meanwhile what this one could not send.
    counts = Counter(
        "sent" if outcome == "sent" else "already" if message_id in noted else outcome
        for message_id, outcome in outcomes.items()
    )
    return SentBack(
        source=courier.connector.source.name,
        where=where,
        sent=counts["sent"],
        already=counts["already"],
        unknown=counts["unknown"],
        failed=counts["failed"],
        behind=counts["behind"],
        faults=tuple(courier.faults[:_SHOWN_FAULTS]),
    )


def require_complete(results: Iterable[SentBack]) -> None:
    """Raises RedriveIncomplete, in one line, unless all that was chosen has been sent back."""
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
