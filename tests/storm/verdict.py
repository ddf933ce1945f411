"""The count after a storm: what the clients were told, beside what is there."""

import json
from collections import Counter, defaultdict

from click.testing import CliRunner
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cli.main import main
from db.models import DeadLetter, Flow, Volume
from tests.stack import Stack
from tests.storm.clients import Diary, Intent, Word
from tests.truth import Truth

Subject = tuple[str, str, int]
"""Kind of flow, name or id of the volume, and of an extend its size in GiB."""


def violations(truth: Truth, diary: Diary) -> list[str]:
    """Every promise that was not kept, in words."""
    with truth.reading() as tx:
        flows = list(tx.scalars(select(Flow)))
        rows = {row.id: row for row in tx.scalars(select(Volume))}
    return [*diary.lies, *_effects(flows, diary), *_lost(rows, diary), *_sizes(rows, diary)]


def _effects(flows: list[Flow], diary: Diary) -> list[str]:
    """Each request that was accepted had one effect, each that was refused had none."""
    admitted: Counter[Subject] = Counter(_of_flow(flow) for flow in flows if flow.admitted)
    wanted: defaultdict[Subject, list[Intent]] = defaultdict(list)
    for intent in diary.intents:
        size = intent.size if intent.kind == "volume.extend" else 0
        wanted[intent.kind, intent.subject, size].append(intent)
    wrong = [f"{count} of {subject}, which nobody wanted" for subject, count in admitted.items()
             if subject not in wanted]  # fmt: skip
    for subject, intents in wanted.items():
        words = Counter(intent.word for intent in intents)
        least, most = words[Word.DONE], words[Word.DONE] + words[Word.UNKNOWN]
        if not least <= admitted[subject] <= most:
            said = [(str(intent.word), intent.key, intent.answers) for intent in intents]
            wrong.append(f"{subject}: {admitted[subject]} effects, told {said}")
    return wrong


def _of_flow(flow: Flow) -> Subject:
    if flow.kind == "volume.create":
        return flow.kind, str(flow.payload["name"]), 0
    size = flow.payload["new_size_gib"] if flow.kind == "volume.extend" else 0
    return flow.kind, flow.resource_id, size


def _lost(rows: dict[str, Volume], diary: Diary) -> list[str]:
    """Volumes that are gone without anyone's wish, and that are there against it."""
    deletes: defaultdict[str, set[Word]] = defaultdict(set)
    for intent in diary.intents:
        if intent.kind == "volume.delete":
            deletes[intent.subject].add(intent.word)
    wrong = []
    for intent in diary.intents:
        gone = intent.volume is not None and intent.volume not in rows
        if gone and not deletes[str(intent.volume)] & {Word.DONE, Word.UNKNOWN}:
            wrong.append(f"lost: {intent.volume} ({intent.subject})")
    wrong += [
        f"{volume} is {rows[volume].status}, and was deleted"
        for volume, words in deletes.items()
        if Word.DONE in words and volume in rows
    ]
    return wrong


def _sizes(rows: dict[str, Volume], diary: Diary) -> list[str]:
    """A volume has the size that was asked for, or one that it was to be extended to."""
    sizes: defaultdict[str, set[int]] = defaultdict(set)
    names = {row.name: row.id for row in rows.values()}
    for intent in diary.intents:
        if intent.kind == "volume.create":
            sizes[names.get(intent.subject, "")].add(intent.size)
        elif intent.kind == "volume.extend" and intent.word is not Word.NONE:
            sizes[intent.subject].add(intent.size)
    return [
        f"{row.id} has {row.size} GiB, asked were {sizes[row.id]}"
        for row in rows.values()
        if row.size not in sizes[row.id]
    ]


def audited(stack: Stack) -> list[str]:
    """What is wrong by `breezeblock audit`, which looks for itself, through the node workers."""
    result = CliRunner(env={"BREEZEBLOCK_URL": stack.url}).invoke(
        main, ["audit", "--json"], prog_name="breezeblock"
    )
    if result.exit_code:
        return [f"audit exits with {result.exit_code}: {result.output}"]
    found = json.loads(result.stdout)["audit"]
    wrong = [f"audit: {one}" for one in found["differences"]]
    answered = {one["name"].partition("@")[0] for one in found["backends"]}
    return wrong + [f"audit: {node} was not asked" for node in set(stack.nodes) - answered]


def census(truth: Truth) -> dict[str, int]:
    """What is there, by kind and state."""
    with truth.reading() as tx:
        found = {f"flows {state}": n for state, n in _count(tx, Flow.state)}
        found |= {f"volumes {status}": n for status, n in _count(tx, Volume.status)}
        found["dead letters"] = tx.scalar(select(func.count()).select_from(DeadLetter)) or 0
    return {**found, "objects": len(truth.objects())}


def _count(tx: Session, column: object) -> list[tuple[str, int]]:
    rows = tx.execute(select(column, func.count()).group_by(column))  # type: ignore[call-overload]
    return [(str(value), int(count)) for value, count in rows]
