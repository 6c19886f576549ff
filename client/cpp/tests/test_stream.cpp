// Streams on a connection that holds.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "fake_server.h"

namespace sentinova::test {
namespace {

std::vector<Document> numbered(int count) {
  std::vector<Document> documents;
  for (int at = 0; at < count; ++at) documents.push_back({at % 2 == 0 ? "good" : "bad", "id-" + std::to_string(at)});
  return documents;
}

/// Takes all answers; checks that each document has its own.
std::vector<std::uint64_t> indices_of(AnswerStream stream) {
  std::vector<std::uint64_t> indices;
  for (const Answer& each : stream) {
    EXPECT_EQ(each.id, "id-" + std::to_string(each.index));
    EXPECT_EQ(each.outcome->label, each.index % 2 == 0 ? "positive" : "negative");
    indices.push_back(each.index);
  }
  return indices;
}

std::vector<std::uint64_t> counting(std::size_t count) {
  std::vector<std::uint64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

grpc::Status answer_backwards(int, grpc::ServerContext&, DocumentStream& stream) {
  auto documents = read(stream);
  std::reverse(documents.begin(), documents.end());
  for (const auto& document : documents) answer(stream, document);
  return grpc::Status::OK;
}

TEST(Stream, MatchesAnswersThatComeInAnotherOrder) {
  FakeServer server;
  server.on_stream = answer_backwards;
  auto indices = indices_of(server.client().stream(numbered(100)));
  auto backwards = counting(100);
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(indices, backwards);
  EXPECT_EQ(server.calls, 1);
}

TEST(Stream, GivesTheOrderOfTheInputWhereThatIsWanted) {
  FakeServer server;
  server.on_stream = answer_backwards;
  StreamOptions options;
  options.ordered = true;
  EXPECT_EQ(indices_of(server.client().stream(numbered(100), options)), counting(100));
}

TEST(Stream, SendsEveryOption) {
  FakeServer server;
  StreamOptions options;
  options.model = "other";
  options.version = 7;
  options.long_text = LongText::truncate;
  options.priority = 3;
  options.routing_key = "user-1";
  EXPECT_EQ(indices_of(server.client().stream(numbered(1), options)).size(), 1U);
  EXPECT_EQ(server.config.model(), "other");
  EXPECT_EQ(server.config.version(), 7);
  EXPECT_EQ(server.config.long_text_policy(), v1::LONG_TEXT_POLICY_TRUNCATE);
  EXPECT_EQ(server.config.priority(), 3U);
  EXPECT_EQ(server.config.routing_key(), "user-1");
  EXPECT_FALSE(server.had_deadline) << "a stream may last for ever";
}

TEST(Stream, GoesThroughManyDocumentsInWindowsOfAnySize) {
  FakeServer server;
  const Client client = server.client();
  for (const std::size_t size : {1, 2, 7, 256}) {
    StreamOptions options;
    options.max_in_flight = size;
    auto indices = indices_of(client.stream(numbered(2'000), options));
    std::sort(indices.begin(), indices.end());
    EXPECT_EQ(indices, counting(2'000)) << size;
  }
}

TEST(Stream, ReadsNoFurtherAheadThanItMay) {
  Signal full;
  Signal go;
  Signal next_came;
  FakeServer server;
  server.on_stream = [&](int, auto&, DocumentStream& stream) {
    const auto documents = read(stream, 8);
    full.set();
    EXPECT_TRUE(go.wait());
    answer(stream, documents[3]);
    for (const auto& document : read(stream, 1)) {
      next_came.set();
      answer(stream, document);
    }
    for (const auto& document : documents) {
      if (document.id() != documents[3].id()) answer(stream, document);
    }
    read(stream);
    return grpc::Status::OK;
  };
  std::atomic<int> given{0};
  const auto source = [&]() -> std::optional<Document> {
    if (given == 9) return std::nullopt;
    ++given;
    return Document{"good"};
  };
  StreamOptions options;
  options.max_in_flight = 8;
  AnswerStream stream = server.client().stream(source, options);
  std::thread watching{[&] {
    EXPECT_TRUE(full.wait());
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(given, 8);
    go.set();
  }};
  EXPECT_EQ(stream.next()->index, 3U);
  watching.join();
  int answers = 1;
  while (stream.next()) ++answers;
  EXPECT_TRUE(next_came.wait());
  EXPECT_EQ(answers, 9);
}

TEST(Stream, GivesAnswersWhileTheInputIsBlocked) {
  const FakeServer server;
  Signal answered;
  const auto source = [&answered, given = 0]() mutable -> std::optional<Document> {
    if (given++ == 0) return Document{"good"};
    EXPECT_TRUE(answered.wait());
    return std::nullopt;
  };
  AnswerStream stream = server.client().stream(source);
  EXPECT_EQ(stream.next()->outcome->label, "positive");
  answered.set();
  EXPECT_FALSE(stream.next());
  EXPECT_FALSE(stream.next());
}

TEST(Stream, RefusesADocumentThatCannotBeSentAlone) {
  FakeServer server;
  AnswerStream stream = server.client().stream({{"good"}, {"caf\xe9", "mine"}, {"bad"}});
  std::map<std::uint64_t, Answer> answers;
  while (auto each = stream.next()) answers.emplace(each->index, *each);
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers.at(0).outcome->label, "positive");
  EXPECT_EQ(answers.at(1).id, "mine");
  EXPECT_EQ(answers.at(1).outcome.error().reason(), "TEXT_NOT_UNICODE");
  EXPECT_EQ(answers.at(2).outcome->label, "negative");
}

TEST(Stream, GivesTheErrorOfADocumentAsItsAnswer) {
  FakeServer server;
  server.on_stream = [](int, auto&, DocumentStream& stream) {
    StreamResponse response;
    response.set_id(read(stream, 1).at(0).id());
    *response.mutable_error() =
        rpc_status(grpc::StatusCode::INVALID_ARGUMENT, "empty", {"TEXT_EMPTY", "document.text"});
    stream.Write(response);
    for (const auto& document : read(stream)) answer(stream, document);
    return grpc::Status::OK;
  };
  AnswerStream stream = server.client().stream({{""}, {"good"}});
  EXPECT_EQ(stream.next()->outcome.error().reason(), "TEXT_EMPTY");
  EXPECT_TRUE(stream.next()->outcome.ok());
  EXPECT_FALSE(stream.next());
}

TEST(Stream, MakesNoCallForNoDocuments) {
  FakeServer server;
  EXPECT_FALSE(server.client().stream(std::vector<Document>{}).next());
  EXPECT_EQ(server.calls, 0);
}

TEST(Stream, ReadsNothingBeforeTheFirstAnswerIsAskedFor) {
  FakeServer server;
  {
    const AnswerStream stream = server.client().stream([]() -> std::optional<Document> { std::abort(); });
  }
  EXPECT_EQ(server.calls, 0);
}

TEST(Stream, ThrowsWhatTheSourceThrewAfterTheAnswers) {
  const FakeServer server;
  const auto source = [given = 0]() mutable -> std::optional<Document> {
    if (given++ == 3) throw std::domain_error("no more");
    return Document{"good"};
  };
  AnswerStream stream = server.client().stream(source);
  for (int answers = 0; answers < 3; ++answers) EXPECT_TRUE(stream.next());
  EXPECT_THROW(stream.next(), std::domain_error);
  EXPECT_FALSE(stream.next());
}

TEST(Stream, ThrowsTheErrorOfTheCall) {
  FakeServer server;
  server.on_stream = [](int, auto&, DocumentStream& stream) {
    answer(stream, read(stream, 2).at(0));
    return failure(grpc::StatusCode::NOT_FOUND, "there is no model", {"MODEL_NOT_FOUND", "config.model"});
  };
  AnswerStream stream = server.client().stream(numbered(5));
  EXPECT_EQ(stream.next()->index, 0U);
  const Error error = error_of([&] { stream.next(); });
  EXPECT_EQ(error.code(), StatusCode::not_found);
  EXPECT_EQ(error.reason(), "MODEL_NOT_FOUND");
  EXPECT_EQ(error_of([&] { stream.next(); }).reason(), "MODEL_NOT_FOUND") << "it stays so";
  EXPECT_EQ(server.calls, 1);
}

TEST(Stream, LosesNothingWhereTheServerEndsACallEarlyWithNothingUnanswered) {
  Signal answered;
  FakeServer server;
  server.on_stream = [&](int, auto&, DocumentStream& stream) {
    answer(stream, read(stream, 1).at(0));
    answered.set();
    return grpc::Status::OK;
  };
  const auto source = [&answered, given = 0]() mutable -> std::optional<Document> {
    if (given++ == 0) return Document{"good"};
    EXPECT_TRUE(answered.wait());
    std::this_thread::sleep_for(100ms);
    return std::nullopt;
  };
  AnswerStream stream = server.client().stream(source);
  EXPECT_TRUE(stream.next());
  EXPECT_FALSE(stream.next());
}

TEST(Stream, FailsWhereTheServerBreaksTheRules) {
  FakeServer cutting;
  cutting.on_stream = [](int, auto&, DocumentStream& stream) {
    read(stream, 2);
    return grpc::Status::OK;
  };
  EXPECT_EQ(error_of([&] { cutting.client().stream(numbered(2)).next(); }).reason(), "STREAM_CUT");
  for (const char* id : {"7", "", "x"}) {
    FakeServer server;
    server.on_stream = [id](int, grpc::ServerContext& context, DocumentStream& stream) {
      auto document = read(stream, 1).at(0);
      document.set_id(id);
      answer(stream, document);
      return hang(context);
    };
    EXPECT_EQ(error_of([&] { server.client().stream(numbered(2)).next(); }).reason(), "UNEXPECTED_ANSWER") << id;
  }
}

TEST(Stream, IsGivenUpWithItsObject) {
  Signal given_up;
  FakeServer server;
  server.on_stream = [&](int, grpc::ServerContext& context, DocumentStream& stream) {
    answer(stream, read(stream, 1).at(0));
    const grpc::Status status = hang(context);
    given_up.set();
    return status;
  };
  {
    AnswerStream stream = server.client().stream([]() -> std::optional<Document> { return Document{"good"}; });
    EXPECT_TRUE(stream.next());
    AnswerStream other = std::move(stream);
  }
  EXPECT_TRUE(given_up.wait());
}

TEST(Stream, IsCancelledFromAnotherThread) {
  for (const bool by_option : {false, true}) {
    Signal begun;
    FakeServer server;
    server.on_stream = [&](int, grpc::ServerContext& context, DocumentStream& stream) {
      read(stream, 2);
      begun.set();
      return hang(context);
    };
    StreamOptions options;
    options.cancellation = Cancellation{};
    AnswerStream stream = server.client().stream(numbered(2), options);
    std::thread giving_up{[&] {
      EXPECT_TRUE(begun.wait());
      by_option ? options.cancellation->cancel() : stream.cancel();
    }};
    EXPECT_EQ(error_of([&] { stream.next(); }).code(), StatusCode::cancelled);
    giving_up.join();
  }
}

TEST(Stream, WaitsForNoAnswerLongerThanItsTimeout) {
  FakeServer server;
  server.on_stream = [](int, grpc::ServerContext& context, DocumentStream& stream) {
    answer(stream, read(stream, 2).at(1));
    return hang(context);
  };
  StreamOptions options;
  options.timeout = 300ms;
  AnswerStream stream = server.client().stream(numbered(2), options);
  EXPECT_EQ(stream.next()->index, 1U);
  const Error error = error_of([&] { stream.next(); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  EXPECT_NE(error.message().find("1 documents waited"), std::string::npos) << error.message();
}

TEST(Stream, DoesNotCountTheTimeThatItsCallerWasAway) {
  Signal go;
  FakeServer server;
  server.on_stream = [&](int, auto&, DocumentStream& stream) {
    const auto documents = read(stream, 2);
    answer(stream, documents[0]);
    EXPECT_TRUE(go.wait());
    answer(stream, documents[1]);
    read(stream);
    return grpc::Status::OK;
  };
  StreamOptions options;
  options.timeout = 1s;
  AnswerStream stream = server.client().stream(numbered(2), options);
  EXPECT_TRUE(stream.next());
  std::this_thread::sleep_for(1200ms);
  std::thread answering{[&go] {
    std::this_thread::sleep_for(50ms);
    go.set();
  }};
  EXPECT_EQ(stream.next()->index, 1U);
  answering.join();
}

TEST(Stream, LetsTheServerEndTheCall) {
  Signal ended;
  std::atomic<bool> cancelled{true};
  FakeServer server;
  server.on_stream = [&](int, grpc::ServerContext& context, DocumentStream& stream) {
    for (const auto& document : read(stream)) answer(stream, document);
    std::this_thread::sleep_for(200ms);
    cancelled = context.IsCancelled();
    ended.set();
    return grpc::Status::OK;
  };
  EXPECT_EQ(indices_of(server.client().stream(numbered(3))).size(), 3U);
  EXPECT_TRUE(ended.wait());
  EXPECT_FALSE(cancelled);
}

TEST(Stream, WaitsLongForAnInputThatIsSlow) {
  const FakeServer server;
  StreamOptions options;
  options.timeout = 1s;
  const auto source = [given = 0]() mutable -> std::optional<Document> {
    if (given++ == 2) return std::nullopt;
    std::this_thread::sleep_for(1500ms);
    return Document{"good"};
  };
  AnswerStream stream = server.client().stream(source, options);
  EXPECT_TRUE(stream.next());
  EXPECT_TRUE(stream.next());
  EXPECT_FALSE(stream.next());
}

TEST(Stream, EndsWithItsTotalTime) {
  FakeServer server;
  server.on_stream = [](int, grpc::ServerContext& context, DocumentStream& stream) {
    read(stream, 2);
    return hang(context);
  };
  StreamOptions options;
  options.total_timeout = 100ms;
  EXPECT_EQ(error_of([&] { server.client().stream(numbered(2), options).next(); }).code(),
            StatusCode::deadline_exceeded);
  server.stop();
  const Error error = error_of([&] { server.client().stream(numbered(2), options).next(); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
}

TEST(Stream, RefusesOptionsThatMakeNoSense) {
  const FakeServer server;
  StreamOptions none;
  none.max_in_flight = 0;
  EXPECT_THROW(server.client().stream(numbered(1), none), std::invalid_argument);
  StreamOptions late;
  late.total_timeout = 0s;
  EXPECT_THROW(server.client().stream(numbered(1), late), std::invalid_argument);
  StreamOptions both;
  both.version = 1;
  both.label = "canary";
  EXPECT_THROW(server.client().stream(numbered(1), both), std::invalid_argument);
  EXPECT_THROW(server.client().stream(DocumentSource{}), std::invalid_argument);
}

}  // namespace
}  // namespace sentinova::test
