#include <gtest/gtest.h>

#include "window.h"

namespace sentinova::internal {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart{};

Outcome positive() {
  Sentiment sentiment;
  sentiment.label = "positive";
  return sentiment;
}

std::vector<std::uint64_t> sent(Window& window) {
  std::vector<std::uint64_t> indices;
  while (const auto message = window.next_to_send()) indices.push_back(message->index);
  return indices;
}

TEST(Window, GivesWhatWasAdmittedInOrderAndOnce) {
  Window window{false};
  window.admit({"a"}, kStart);
  window.admit({"b"}, kStart);
  EXPECT_EQ(sent(window), (std::vector<std::uint64_t>{0, 1}));
  window.admit({"c"}, kStart);
  const auto message = window.next_to_send();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->text, "c");
  EXPECT_TRUE(sent(window).empty());
}

TEST(Window, NamesDocumentsByTheirIndexUnlessTheyHaveANameOfTheirOwn) {
  Window window{false};
  window.admit({"a", "mine"}, kStart);
  window.admit({"b"}, kStart);
  EXPECT_EQ(window.settle(1, positive(), kStart).at(0).id, "1");
  EXPECT_EQ(window.settle(0, positive(), kStart).at(0).id, "mine");
  EXPECT_EQ(window.waiting(), 0U);
}

TEST(Window, SendsAgainWhatHasNoAnswer) {
  Window window{false};
  for (const char* text : {"a", "b", "c", "d"}) window.admit({text}, kStart);
  sent(window);
  window.settle(1, positive(), kStart);
  window.send_again();
  EXPECT_EQ(sent(window), (std::vector<std::uint64_t>{0, 2, 3}));
}

TEST(Window, HoldsEarlyAnswersBackWhereTheyAreOrdered) {
  Window window{true};
  for (const char* text : {"a", "b", "c"}) window.admit({text}, kStart);
  EXPECT_TRUE(window.settle(2, positive(), kStart).empty());
  EXPECT_TRUE(window.settle(1, positive(), kStart).empty());
  const auto answers = window.settle(0, positive(), kStart);
  ASSERT_EQ(answers.size(), 3U);
  for (std::size_t at = 0; at < answers.size(); ++at) EXPECT_EQ(answers[at].index, at);
}

TEST(Window, RefusesAnswersThatNobodyWaitsFor) {
  Window window{false};
  window.admit({"a"}, kStart);
  window.settle(0, positive(), kStart);
  for (const std::uint64_t index : {0U, 7U}) {
    try {
      window.settle(index, positive(), kStart);
      FAIL() << "taken: " << index;
    } catch (const Error& error) {
      EXPECT_EQ(error.reason(), "UNEXPECTED_ANSWER");
    }
  }
}

TEST(Window, TellsSinceWhenTheNextAnswerIsWaitedFor) {
  Window window{false};
  EXPECT_FALSE(window.waiting_since());
  window.admit({"a"}, kStart + 1s);
  window.admit({"b"}, kStart + 2s);
  window.admit({"c"}, kStart + 9s);
  EXPECT_EQ(window.waiting_since(), kStart + 1s);
  window.settle(1, positive(), kStart + 5s);
  EXPECT_EQ(window.waiting_since(), kStart + 5s);
  window.settle(0, positive(), kStart + 6s);
  EXPECT_EQ(window.waiting_since(), kStart + 9s);
}

TEST(Window, ReadsIndicesStrictly) {
  EXPECT_EQ(index_from("0"), 0U);
  EXPECT_EQ(index_from("18446744073709551615"), UINT64_MAX);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1x", "x", "18446744073709551616"}) {
    EXPECT_FALSE(index_from(text)) << text;
  }
}

}  // namespace
}  // namespace sentinova::internal
