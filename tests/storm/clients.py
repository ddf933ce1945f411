"""Clients that create, extend and delete at random, and remember what they were told.

202 promises, 4xx and 503 promise the opposite, anything else promises nothing; a request with an
Idempotency-Key is repeated until it is answered.
"""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import requests

from tests.stack import MICROVERSION

IN_FLIGHT, UNAVAILABLE = 409, 503
REFUSALS = (400, 404, IN_FLIGHT, 413)
FEW, MANY = 3, 9
"""Volumes of a project below which it rather creates, and above which it rather deletes."""


class Word(StrEnum):
    """What a client was told of a request in the end."""

    DONE = "done"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Intent:
    """One thing that a client wants, in however many requests; `size` in GiB."""

    kind: str
    project: str
    subject: str
    """The name of a volume to be, or the id of one that is."""
    size: int = 0
    key: str | None = None
    word: Word = Word.UNKNOWN
    volume: str | None = None
    answers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Diary:
    """All that the clients wanted and were told. Shared by their threads."""

    intents: list[Intent] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, intent: Intent, answer: str) -> None:
        """Write down one answer, or what came instead of one."""
        with self.lock:
            intent.answers.append(answer)
            self.answers[f"{intent.kind} {answer}"] += 1

    def words(self) -> Counter[str]:
        """How the intents of each kind ended."""
        return Counter(f"{intent.kind} {intent.word}" for intent in self.intents)


class Client(threading.Thread):
    """One client at work from `start` until `stop` is set; then it only asks for what is open."""

    def __init__(
        self,
        number: int,
        seed: int,
        urls: Sequence[str],
        project: str,
        volumes: dict[str, int],
        diary: Diary,
        stop: threading.Event,
        patience: float = 20.0,
    ) -> None:
        super().__init__(name=f"client{number}", daemon=True)
        self._random = random.Random(f"{seed}-{number}")
        self._urls, self._project, self._volumes = urls, project, volumes
        self._diary, self._halt, self._patience = diary, stop, patience

    def run(self) -> None:
        while not self._halt.is_set():
            self._one()
            self._halt.wait(self._random.uniform(0, 0.3))

    def _one(self) -> None:
        with self._diary.lock:
            known = sorted(self._volumes.items())
        weights = (1, 1, 1) if FEW <= len(known) <= MANY else (5, 1, 1)
        if len(known) > MANY:
            weights = (1, 1, 4)
        (act,) = self._random.choices((self._make, self._grow, self._remove), weights)
        if act is not self._make and not known:
            act = self._make
        act(known)

    def _make(self, _known: Any) -> None:
        name, size = f"storm-{uuid.uuid4()}", self._random.randint(1, 3)
        intent = self._intend("volume.create", name, size, 0.6)
        body = {"volume": {"name": name, "size": size}}
        self._ask(intent, "POST", "/volumes", body)
        if intent.word is Word.DONE and intent.volume:
            with self._diary.lock:
                self._volumes[intent.volume] = size

    def _grow(self, known: list[tuple[str, int]]) -> None:
        volume, size = self._random.choice(known)
        intent = self._intend("volume.extend", volume, size + 1, 0.4)
        self._ask(
            intent, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": size + 1}}
        )
        self._forget_if_gone(intent)
        if intent.word is not Word.NONE:
            with self._diary.lock:
                if volume in self._volumes:
                    self._volumes[volume] = size + 1

    def _remove(self, known: list[tuple[str, int]]) -> None:
        volume, _ = self._random.choice(known)
        if self._random.random() < 0.15:
            intent = self._intend("volume.delete", volume, 0, 0.5)
            self._ask(intent, "POST", f"/volumes/{volume}/action", {"os-force_delete": {}})
        else:
            intent = self._intend("volume.delete", volume, 0, 0.0)
            self._ask(intent, "DELETE", f"/volumes/{volume}", None)
        self._forget_if_gone(intent)
        if intent.word is Word.DONE:
            with self._diary.lock:
                self._volumes.pop(volume, None)

    def _forget_if_gone(self, intent: Intent) -> None:
        if intent.answers[-1] == "404":  # another client's delete, or one of unknown outcome
            with self._diary.lock:
                self._volumes.pop(intent.subject, None)

    def _intend(self, kind: str, subject: str, size: int, keyed: float) -> Intent:
        key = str(uuid.uuid4()) if self._random.random() < keyed else None
        intent = Intent(kind, self._project, subject, size, key)
        with self._diary.lock:
            self._diary.intents.append(intent)
        return intent

    def _ask(self, intent: Intent, method: str, path: str, body: Any) -> None:
        """Ask until there is a word; without a key, once."""
        settle_by: float | None = None
        while True:
            self._once(intent, method, path, body)
            if intent.word is not Word.UNKNOWN or intent.key is None:
                break
            if self._halt.is_set():
                settle_by = settle_by or time.monotonic() + self._patience
                if time.monotonic() > settle_by:
                    break
            time.sleep(self._random.uniform(0.1, 0.5))
        if intent.word is Word.DONE and intent.key and self._random.random() < 0.3:
            self._once(intent, method, path, body)  # the answer came, and is asked for again

    def _once(self, intent: Intent, method: str, path: str, body: Any) -> None:
        answer = self._request(intent, method, path, body)
        if answer is None:
            return
        status, first, before = answer.status_code, len(intent.answers) == 1, intent.word
        if status == 202:
            self._accepted(intent, answer)
        elif status == UNAVAILABLE:
            # Of this request nothing will come; what became of an earlier one, it does not say.
            if first:
                intent.word = Word.NONE
        elif status in REFUSALS and not (status == IN_FLIGHT and "in flight" in answer.text):
            intent.word = Word.NONE
        elif status not in (IN_FLIGHT, 500):
            self._lie(intent, f"answered {status}: {answer.text[:200]}")
        if before is Word.DONE and intent.word is not Word.DONE:
            self._lie(intent, f"was accepted, then repeated: {answer.text[:200]}")

    def _accepted(self, intent: Intent, answer: requests.Response) -> None:
        intent.word = Word.DONE
        if intent.kind != "volume.create":
            return
        volume = str(answer.json()["volume"]["id"])
        if intent.volume not in (None, volume):
            self._lie(intent, f"is {intent.volume}, then {volume}")
        intent.volume = volume

    def _lie(self, intent: Intent, text: str) -> None:
        with self._diary.lock:
            self._diary.lies.append(f"{intent.kind} of {intent.subject} ({intent.answers}) {text}")

    def _request(
        self, intent: Intent, method: str, path: str, body: Any
    ) -> requests.Response | None:
        headers = {"X-Auth-Token": f"tester:{self._project}", **MICROVERSION}
        if intent.key:
            headers["Idempotency-Key"] = intent.key
        url = f"{self._random.choice(self._urls)}/v3/{self._project}{path}"
        try:
            answer = requests.request(method, url, json=body, headers=headers, timeout=40)
        except requests.RequestException as error:
            refused = "refused" in str(error).lower()
            self._diary.note(intent, "no connection" if refused else type(error).__name__)
            if refused and intent.key is None:
                intent.word = Word.NONE  # it never got there
            return None
        self._diary.note(intent, str(answer.status_code))
        return answer


def crowd(
    count: int, make: Callable[[int, str, dict[str, int]], Client]
) -> tuple[list[Client], list[str]]:
    """Clients, two to a project, that know of each other's volumes; and the projects."""
    projects = [f"storm{number}" for number in range((count + 1) // 2)]
    shared: list[dict[str, int]] = [{} for _ in projects]
    return [make(n, projects[n // 2], shared[n // 2]) for n in range(count)], projects
