"""Sends what was quarantined or dead-lettered back to where it came from: in group order, and nothing twice.

What is sent back lands as a new message, behind what its group has sent meanwhile. If its body is still bad it is
quarantined again, under its new message id. A contract that was mended needs no redrive: raw has kept everything, so
the ``conform`` step, run again, brings its events back in their first place.

Exactly once, as far as the service goes: the ledger (:mod:`sluice.redrive.ledger`) lets one redrive send a message,
once. A FIFO queue also drops the second of two equal sends within five minutes. Where a redrive was stopped between a
send and its note, and later than that, nobody can tell: the message is left, counted as unknown, and sent again only on
request; ``conform`` counts a doubled event once.
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
    """Something was not sent back. What was sent is known, and is not sent again by the next redrive."""


@dataclass(frozen=True)
class SentBack:
    """What a redrive did with one source's messages of one place.

    ``sent`` now, ``already`` before; ``failed``, and ``behind`` one of their group that could not be sent; ``unknown``
    whether they were sent before. ``undeleted`` dead letters were sent back and are still on their queue: the next
    redrive deletes them. ``faults`` tells why, in words.
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
    """Send back what is chosen, and check the ledger against what was done.

    Quarantined events go first: they were received first. Safe to stop at any point and to run again, also beside
    another redrive.

    Raises:
        MissingResource: the pipeline has no such queue or stream.
        RedriveIncomplete: the ledger does not say what was done: something else writes to it.
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
    """:func:`send_back` of the source of that name, or of all; the log tells each."""
    sources = sources_named(workspace.pipeline, source)
    results = [result for each in sources for result in send_back(workspace, each, choice)]
    for each in results:
        _log.info("%s", each)
    return results


def sent(results: Iterable[SentBack]) -> dict[str, int]:
    """How many were sent, by ``source/place``."""
    return {f"{each.source}/{each.where}": each.sent for each in results}


def _send_quarantined(workspace: Workspace, courier: Courier, choice: Choice, pool: Executor) -> SentBack:
    chosen = [each for each in quarantined_of(workspace, courier.connector.source, choice) if choice.takes(each)]
    waiting = [each for each in chosen if known(courier.entries, each.message_id).state is not State.SENT]
    waiting.sort(key=attrgetter("group", "sequence_number", "message_id"))
    outcomes = courier.carry(records_of(workspace.lake, waiting[: choice.limit]), pool)
    done = _result(courier, "quarantine", outcomes)
    return replace(done, already=done.already + len(chosen) - len(waiting))


def _send_dead_letters(dead: DeadLetters, courier: Courier, limit: int, pool: Executor) -> SentBack:
    """Wave after wave. What can't be sent is kept from coming again, with all that its group holds behind it."""
    outcomes: dict[str, Outcome] = {}
    kept: list[Letter] = []
    undeleted = set[str]()
    try:
        while len(outcomes) < limit and (wave := dead.take(limit - len(outcomes))):
            done = courier.carry([letter.record for letter in wave], pool)
            outcomes = {**done, **outcomes}  # what comes again was counted
            back = [letter for letter in wave if done[letter.record.message_id] in ("sent", "already")]
            undeleted -= {letter.record.message_id for letter in back}
            undeleted |= {letter.record.message_id for letter in dead.delete(back)}
            kept += [letter for letter in wave if letter not in back]
    finally:
        dead.put_back(kept)
    return replace(_result(courier, "dead_letters", outcomes), undeleted=len(undeleted))


def _result(courier: Courier, where: Where, outcomes: Mapping[str, Outcome]) -> SentBack:
    """The counts, once the ledger says the same as they."""
    entries = courier.ledger.entries()
    noted = {message_id for message_id in outcomes if known(entries, message_id).state is State.SENT}
    for message_id, outcome in outcomes.items():
        if outcome in ("sent", "already") and message_id not in noted:
            raise RedriveIncomplete(
                f"{courier.ledger.lake.uri(courier.ledger.place(message_id))} does not say that the message was sent, "
                f"but it was; something outside Sluice changes the ledger: stop it before the next redrive"
            )
    # What this redrive could not send, another one may have sent meanwhile.
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
                f"{each.behind} wait behind them; mend that and redrive again: what was sent is not sent twice"
            )
        if each.unknown:
            raise RedriveIncomplete(
                f"{held}: {each.unknown} may have been sent by a redrive that was stopped, and {each.behind} wait "
                f"behind them; look whether they landed, or send them again with unknown: conform counts each once"
            )
        if each.undeleted:
            raise RedriveIncomplete(
                f"{held}: {each.undeleted} were sent back but not deleted; redrive again in a minute to delete them"
            )
