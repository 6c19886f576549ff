"""The queue against one that looks at every document each time: same turns, same deadlines, nothing kept too long."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sentinova_server.serving.document_queue import DocumentQueue, QueuedDocument

DEADLINES = st.none() | st.integers(0, 30).map(float)


def rank(document):
    return document.level, document.order


class QueueMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.queue, self.waiting, self.gone, self.now = DocumentQueue(), [], [], 0.0
        self.orders = 0

    def leave(self, documents):
        for document in documents:
            self.waiting.remove(document)
        self.gone += documents

    @rule(level=st.integers(1, 3), length=st.sampled_from([16, 32, 48]), deadline=DEADLINES)
    def come(self, level, length, deadline):
        document = QueuedDocument(self.orders, level, length, arrived=self.now, deadline=deadline)
        self.orders += 1
        self.queue.add(document)
        self.waiting.append(document)

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), deadline=DEADLINES | st.just("same"))
    def come_again(self, data, deadline):
        document = self.gone.pop(data.draw(st.integers(0, len(self.gone) - 1)))
        document.alone = True
        if deadline != "same":
            document.deadline = deadline
        self.queue.add(document)
        self.waiting.append(document)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def discard(self, data):
        document = data.draw(st.sampled_from(self.waiting))
        assert self.queue.discard(document)
        self.leave([document])

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def discard_one_that_is_gone(self, data):
        assert not self.queue.discard(data.draw(st.sampled_from(self.gone)))

    @precondition(lambda self: self.queue.counts())
    @rule(data=st.data())
    def take(self, data):
        groups = data.draw(st.lists(st.sampled_from(sorted(self.queue.counts())), min_size=1, unique=True))
        plan = {group: data.draw(st.integers(1, self.queue.counts()[group])) for group in groups}
        expected = []
        for (level, length), count in plan.items():
            group = [each for each in self.waiting if (each.level, each.key, each.alone) == (level, length, False)]
            expected += sorted(group, key=rank)[:count]
        assert self.queue.take(plan) == expected
        self.leave(expected)

    @rule(seconds=st.integers(1, 10))
    def expire(self, seconds):
        self.now += seconds
        expired = self.queue.take_expired(self.now)
        late = [each for each in self.waiting if each.deadline is not None and each.deadline <= self.now]
        assert sorted(expired, key=rank) == sorted(late, key=rank)
        assert [each.deadline for each in expired] == sorted(each.deadline for each in expired)
        self.leave(expired)

    @rule()  # and no invariant: to be asked now and then is harder
    def tell_the_next_deadline(self):
        deadlines = [each.deadline for each in self.waiting if each.deadline is not None]
        assert self.queue.next_deadline() == min(deadlines, default=None)

    @invariant()
    def tells_who_waits(self):
        assert len(self.queue) == len(self.waiting)
        counts = {}
        for each in self.waiting:
            if not each.alone:
                counts[each.level, each.key] = counts.get((each.level, each.key), 0) + 1
        assert self.queue.counts() == counts

    @invariant()
    def tells_whose_turn_it_is(self):
        if self.waiting:
            assert self.queue.first() is min(self.waiting, key=rank)
            assert self.queue.last() is max(self.waiting, key=rank)
            assert self.queue.oldest_arrival() == min(each.arrived for each in self.waiting)


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueue = QueueMachine.TestCase


@pytest.mark.parametrize("alone", [False, True])
def test_documents_that_have_left_are_let_go_long_before_their_deadline(alone):
    queue = DocumentQueue()
    stays = QueuedDocument(0, 0, 16, arrived=0.0, deadline=1e6)
    queue.add(stays)
    for order in range(1, 1000):
        document = QueuedDocument(order, 0, 16, arrived=0.0, deadline=1e5 + order, alone=alone)
        queue.add(document)
        queue.discard(document)
        assert len(queue._deadlines) <= 70
    assert queue.next_deadline() == 1e6
