// One text, and a list of texts.

#include <gtest/gtest.h>

#include <thread>

#include "fake_server.h"

namespace sentinova::test {
namespace {

TEST(Analyze, GivesEveryFieldOfTheResult) {
  const FakeServer server;
  const Sentiment result = server.client().analyze("bad film");
  EXPECT_EQ(result.label, "negative");
  EXPECT_EQ(result.score, 0.7F);
  ASSERT_EQ(result.scores.size(), 2U);
  EXPECT_EQ(result.scores[0].label, "negative");
  EXPECT_EQ(result.scores[0].score, 0.7F);
  EXPECT_EQ(result.scores[1].label, "positive");
  EXPECT_EQ(result.scores[1].score, 0.3F);
  EXPECT_EQ(result.model, "sentiment_en");
  EXPECT_EQ(result.version, 2);
  EXPECT_EQ(result.token_count, 8);
  EXPECT_FALSE(result.truncated);
  EXPECT_EQ(result.timings.tokenization, 1ms);
  EXPECT_EQ(result.timings.queue, 2ms);
  EXPECT_EQ(result.timings.inference, 1500ms);
}

TEST(Analyze, SendsEveryOption) {
  FakeServer server;
  ClientOptions settings;
  settings.metadata = {{"authorization", "Bearer x"}};
  AnalysisOptions options;
  options.model = "other";
  options.version = 7;
  options.long_text = LongText::truncate;
  options.priority = 3;
  options.routing_key = "user-1";
  EXPECT_TRUE(server.client(settings).analyze("good", options).truncated);
  EXPECT_EQ(server.config.model(), "other");
  EXPECT_EQ(server.config.version(), 7);
  EXPECT_EQ(server.config.priority(), 3U);
  EXPECT_EQ(server.config.routing_key(), "user-1");
  EXPECT_EQ(server.metadata["authorization"], "Bearer x");
  EXPECT_EQ(server.metadata["user-agent"].rfind("sentinova-cpp/", 0), 0U);
  EXPECT_TRUE(server.had_deadline);

  AnalysisOptions labelled;
  labelled.label = "canary";
  server.client().analyze("good", labelled);
  EXPECT_EQ(server.config.label(), "canary");
  EXPECT_EQ(server.config.long_text_policy(), v1::LONG_TEXT_POLICY_ERROR);
}

TEST(Analyze, MayHaveNoDeadline) {
  FakeServer server;
  ClientOptions settings;
  settings.timeout = std::nullopt;
  server.client(settings).analyze("good");
  EXPECT_FALSE(server.had_deadline);
  settings.timeout = Duration::max();
  EXPECT_NO_THROW(server.client(settings).analyze("good"));
}

TEST(Analyze, RefusesWhatCannotBeSent) {
  FakeServer server;
  const Client client = server.client();
  EXPECT_EQ(error_of([&] { client.analyze("caf\xe9"); }).reason(), "TEXT_NOT_UNICODE");
  AnalysisOptions both;
  both.version = 1;
  both.label = "canary";
  EXPECT_THROW(client.analyze("good", both), std::invalid_argument);
  AnalysisOptions latin;
  latin.model = "caf\xe9";
  EXPECT_THROW(client.analyze("good", latin), std::invalid_argument);
  AnalysisOptions late;
  late.timeout = 0s;
  EXPECT_THROW(client.analyze("good", late), std::invalid_argument);
  EXPECT_EQ(server.calls, 0);
}

TEST(Analyze, ThrowsTheServersError) {
  FakeServer server;
  server.on_analyze = [](int, auto&, const auto&) {
    return failure(grpc::StatusCode::NOT_FOUND, "there is no model",
                   {"MODEL_NOT_FOUND", "config.model", {{"model", "m"}}});
  };
  const Error error = error_of([&] { server.client().analyze("good"); });
  EXPECT_EQ(error.code(), StatusCode::not_found);
  EXPECT_EQ(error.reason(), "MODEL_NOT_FOUND");
  EXPECT_EQ(error.field(), "config.model");
  EXPECT_EQ(server.calls, 1);
}

TEST(Analyze, TakesTextsLargerThanGrpcsUsualMessages) {
  const FakeServer server;
  EXPECT_EQ(server.client().analyze(std::string(6 << 20, 'x')).token_count, 6 << 20);
}

TEST(Analyze, MayBeCalledFromManyThreadsAtOnce) {
  FakeServer server;
  const Client client = server.client();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&client, &right, thread] {
      for (int call = 0; call < 50; ++call) {
        right += client.analyze(thread % 2 == 0 ? "bad" : "good").label == (thread % 2 == 0 ? "negative" : "positive");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST(Batch, GivesAnOutcomeForEachTextInOrder) {
  FakeServer server;
  server.on_batch = [](v1::BatchAnalyzeSentimentResponse& response) {
    *response.mutable_results(1)->mutable_error() =
        rpc_status(grpc::StatusCode::INVALID_ARGUMENT, "the text is empty", {"TEXT_EMPTY", "documents[1].text"});
    return grpc::Status::OK;
  };
  AnalysisOptions options;
  options.model = "other";
  const auto outcomes = server.client().analyze_batch({"good", "", "bad"}, options);
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0]->label, "positive");
  EXPECT_EQ(outcomes[0].value().model, "other");
  ASSERT_FALSE(outcomes[1].ok());
  EXPECT_EQ(outcomes[1].error().reason(), "TEXT_EMPTY");
  EXPECT_EQ(outcomes[1].error().field(), "documents[1].text");
  EXPECT_THROW(outcomes[1].value(), Error);
  EXPECT_EQ((*outcomes[2]).label, "negative");
  EXPECT_THROW(outcomes[2].error(), std::bad_variant_access);
}

TEST(Batch, TakesAnswersLargerThanGrpcsUsualMessages) {
  FakeServer server;
  server.on_batch = [](v1::BatchAnalyzeSentimentResponse& response) {
    response.mutable_results(0)->mutable_result()->set_label(std::string(6 << 20, 'x'));
    return grpc::Status::OK;
  };
  EXPECT_EQ(server.client().analyze_batch({"good"}).at(0)->label.size(), std::size_t{6 << 20});
}

TEST(Batch, LeavesOutWhatCannotBeSent) {
  FakeServer server;
  const auto outcomes = server.client().analyze_batch({"caf\xe9", "bad", "\xff"});
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0].error().reason(), "TEXT_NOT_UNICODE");
  EXPECT_EQ(outcomes[1]->label, "negative");
  EXPECT_EQ(outcomes[2].error().reason(), "TEXT_NOT_UNICODE");
  EXPECT_EQ(server.documents.size(), 1U);
}

TEST(Batch, MakesNoCallForNoTexts) {
  FakeServer server;
  EXPECT_TRUE(server.client().analyze_batch({}).empty());
  EXPECT_EQ(server.calls, 0);
}

TEST(Batch, FailsWhereAnswersAreMissingOrEmpty) {
  FakeServer server;
  server.on_batch = [](v1::BatchAnalyzeSentimentResponse& response) {
    response.mutable_results()->RemoveLast();
    return grpc::Status::OK;
  };
  EXPECT_EQ(error_of([&] { server.client().analyze_batch({"a", "b"}); }).reason(), "UNEXPECTED_ANSWER");
  server.on_batch = [](v1::BatchAnalyzeSentimentResponse& response) {
    response.mutable_results(0)->clear_outcome();
    return grpc::Status::OK;
  };
  EXPECT_EQ(server.client().analyze_batch({"a"}).at(0).error().reason(), "UNEXPECTED_ANSWER");
}

}  // namespace
}  // namespace sentinova::test
