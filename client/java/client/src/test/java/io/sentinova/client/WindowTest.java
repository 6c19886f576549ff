package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class WindowTest {
    private static final Outcome OUTCOME = Outcome.of(Conversion.sentiment(FakeServer.RESULT));

    private final AtomicLong clock = new AtomicLong(-5); // (System.nanoTime may be negative, too)

    private Window window(Duration timeout, boolean ordered) {
        return new Window(clock::get, timeout, ordered);
    }

    private static List<Long> indices(List<Answer> answers) {
        return answers.stream().map(Answer::index).toList();
    }

    @Test
    void answersAreMatchedByIndexWhateverTheirIds() {
        Window window = window(null, false);
        assertEquals("0", window.admit(Document.of("same", "a")).message().getDocument().getId());
        assertEquals("1", window.admit(Document.of("same", "b")).message().getDocument().getId());
        window.admit(Document.of("c"));
        List<Answer> answers = window.settle("1", OUTCOME);
        assertEquals(List.of(1L), indices(answers));
        assertEquals("same", answers.get(0).id());
        assertEquals("2", window.settle("2", OUTCOME).get(0).id());
        assertFalse(window.isComplete());
        window.settle("0", OUTCOME);
        assertFalse(window.isComplete());
        window.endInput();
        assertTrue(window.isComplete());
    }

    @Test
    void answersInOrderAreHeldBack() {
        Window window = window(null, true);
        for (int index = 0; index < 4; index++) {
            window.admit(Document.of("text"));
        }
        assertEquals(List.of(), indices(window.settle("2", OUTCOME)));
        assertEquals(List.of(), indices(window.settle("1", OUTCOME)));
        assertEquals(List.of(0L, 1L, 2L), indices(window.settle("0", OUTCOME)));
        assertEquals(List.of(3L), indices(window.settle("3", OUTCOME)));
    }

    @Test
    void anAnswerThatNobodyWaitsForIsAnError() {
        Window window = window(null, false);
        window.admit(Document.of("text"));
        window.settle("0", OUTCOME);
        for (String id : List.of("0", "1", "", "x", "99999999999999999999")) {
            SentinovaException error =
                    assertThrows(SentinovaException.class, () -> window.settle(id, OUTCOME), "id " + id);
            assertEquals(Reason.UNEXPECTED_ANSWER, error.reason());
        }
    }

    @Test
    void whatCannotBeSentWaitsForItsAnswerAndIsNotSentAgain() {
        Window window = window(null, false);
        Window.Admission admission = window.admit(Document.of("id", "\ud800"));
        assertNull(admission.message());
        assertEquals(Reason.TEXT_NOT_UNICODE, admission.error().reason());
        window.admit(Document.of("text"));
        assertEquals(1, window.unansweredMessages().size());
        assertEquals("text", window.unansweredMessages().get(0).getDocument().getText());
        Answer answer = window.settle(admission.index(), Outcome.of(admission.error())).get(0);
        assertEquals("id", answer.id());
        assertThrows(SentinovaException.class, answer::orElseThrow);
    }

    @Test
    void patienceEndsWhereDocumentsWaitAndNoAnswerComes() {
        Window window = window(Duration.ofNanos(100), false);
        clock.addAndGet(1000);
        assertEquals(100, window.patience()); // nothing waits
        window.admit(Document.of("a"));
        clock.addAndGet(30);
        window.admit(Document.of("b"));
        assertEquals(70, window.patience());
        clock.addAndGet(10);
        window.settle("0", OUTCOME);
        assertEquals(100, window.patience());
        clock.addAndGet(99);
        assertEquals(1, window.patience());
        clock.addAndGet(1);
        SentinovaException error = assertThrows(SentinovaException.class, window::patience);
        assertEquals(Code.DEADLINE_EXCEEDED, error.code());
    }

    @Test
    void withoutTimeoutPatienceIsEndless() {
        Window window = window(null, false);
        window.admit(Document.of("a"));
        clock.addAndGet(Duration.ofDays(1).toNanos());
        assertEquals(Long.MAX_VALUE, window.patience());
    }
}
