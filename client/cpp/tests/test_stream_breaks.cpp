// Streams on a connection that breaks.

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "fake_server.h"

namespace sentinova::test {
namespace {

const grpc::Status kGone{grpc::StatusCode::UNAVAILABLE, "gone"};

std::vector<Document> documents(int count) { return std::vector<Document>(count, Document{"good"}); }

/// Takes all answers; checks that each document has one.
void expect_all(AnswerStream stream, std::size_t count) {
  std::set<std::uint64_t> answered;
  while (const auto each = stream.next()) {
    EXPECT_TRUE(each->outcome.ok());
    EXPECT_TRUE(answered.insert(each->index).second) << each->index << " was answered twice";
  }
  EXPECT_EQ(answered.size(), count);
}

TEST(BrokenStream, SendsAgainWhatHasNoAnswerAndNothingElse) {
  std::vector<std::string> second;
  FakeServer server;
  server.on_stream = [&](int number, auto&, DocumentStream& stream) {
    if (number == 1) {
      const auto all = read(stream, 10);
      for (const int at : {1, 4, 7}) answer(stream, all[at]);
      return kGone;
    }
    StreamRequest first;
    EXPECT_TRUE(stream.Read(&first) && first.has_config() && first.config().model() == "m");
    for (const auto& document : read(stream)) {
      second.push_back(document.id());
      answer(stream, document);
    }
    return grpc::Status::OK;
  };
  StreamOptions options;
  options.model = "m";
  expect_all(server.client().stream(documents(10), options), 10);
  EXPECT_EQ(second, (std::vector<std::string>{"0", "2", "3", "5", "6", "8", "9"}));
  EXPECT_EQ(server.calls, 2);
}

TEST(BrokenStream, OutlivesManyBreaks) {
  FakeServer server;
  server.on_stream = [](int number, auto&, DocumentStream& stream) {
    std::size_t left = 20 + number;
    StreamRequest request;
    while (stream.Read(&request)) {
      if (!request.has_document()) continue;
      if (number < 6 && left-- == 0) return kGone;
      answer(stream, request.document());
    }
    return grpc::Status::OK;
  };
  // Attempts are counted from the latest answer.
  ClientOptions settings;
  settings.attempts = 2;
  settings.wait_for_ready = false;
  for (const bool ordered : {false, true}) {
    server.calls = 0;
    StreamOptions options;
    options.max_in_flight = 9;
    options.ordered = ordered;
    expect_all(server.client(settings).stream(documents(400), options), 400);
    EXPECT_EQ(server.calls, 6);
  }
}

TEST(BrokenStream, OutlivesARestartOfTheServer) {
  FakeServer server;
  std::atomic<bool> restarted{false};
  AnswerStream stream = server.client().stream([given = 0]() mutable -> std::optional<Document> {
    return given++ < 3'000 ? std::optional{Document{"good"}} : std::nullopt;
  });
  std::set<std::uint64_t> answered;
  std::thread restarting;
  while (const auto each = stream.next()) {
    EXPECT_TRUE(answered.insert(each->index).second);
    if (answered.size() == 500) {
      server.stop();
      restarting = std::thread{[&] {
        std::this_thread::sleep_for(300ms);
        server.start();
        restarted = true;
      }};
    }
  }
  restarting.join();
  EXPECT_EQ(answered.size(), 3'000U);
  EXPECT_TRUE(restarted);
}

TEST(BrokenStream, WaitsForAServerThatLoads) {
  FakeServer server;
  server.on_stream = [](int number, auto&, DocumentStream& stream) {
    if (number < 3) return failure(grpc::StatusCode::UNAVAILABLE, "loading", {"MODEL_LOADING", "", {}, 10});
    for (const auto& document : read(stream)) answer(stream, document);
    return grpc::Status::OK;
  };
  expect_all(server.client().stream(documents(3)), 3);
  EXPECT_EQ(server.calls, 3);
}

TEST(BrokenStream, TakesACancellationByTheServerForItsEnd) {
  FakeServer server;
  server.on_stream = [](int number, auto&, DocumentStream& stream) {
    if (number == 1) return grpc::Status::CANCELLED;
    for (const auto& document : read(stream)) answer(stream, document);
    return grpc::Status::OK;
  };
  expect_all(server.client().stream(documents(3)), 3);
}

TEST(BrokenStream, GivesUpWhereItIsNotToTryAgain) {
  FakeServer server;
  server.on_stream = [](int, auto&, DocumentStream&) { return kGone; };
  ClientOptions settings;
  settings.attempts = 1;
  EXPECT_EQ(error_of([&] { server.client(settings).stream(documents(1)).next(); }).code(), StatusCode::unavailable);
  EXPECT_EQ(server.calls, 1);
  settings.attempts = 3;
  settings.wait_for_ready = false;
  server.calls = 0;
  EXPECT_EQ(error_of([&] { server.client(settings).stream(documents(1)).next(); }).code(), StatusCode::unavailable);
  EXPECT_EQ(server.calls, 3);
}

TEST(BrokenStream, SaysWhatBrokeItWhenItsPatienceIsOver) {
  FakeServer server;
  server.on_stream = [](int, auto&, DocumentStream&) { return failure(grpc::StatusCode::UNAVAILABLE, "no", {"DOWN"}); };
  StreamOptions options;
  options.timeout = 600ms;
  const Error error = error_of([&] { server.client().stream(documents(1), options).next(); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  EXPECT_NE(error.message().find("DOWN"), std::string::npos) << error.message();
  EXPECT_GE(server.calls, 2);
}

TEST(BrokenStream, SaysWhyThereWasNoConnection) {
  FakeServer server;
  server.stop();
  StreamOptions options;
  options.timeout = 500ms;
  const Error error = error_of([&] { server.client().stream(documents(1), options).next(); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  EXPECT_NE(error.message().find("Connection refused"), std::string::npos) << error.message();
}

TEST(BrokenStream, IsGivenUpWhileItWaits) {
  FakeServer server;
  server.on_stream = [](int, auto&, DocumentStream&) {
    return failure(grpc::StatusCode::UNAVAILABLE, "no", {"DOWN", "", {}, 5000});
  };
  AnswerStream stream = server.client().stream(documents(1));
  std::thread giving_up{[&] {
    while (server.calls == 0) std::this_thread::sleep_for(1ms);
    stream.cancel();
  }};
  EXPECT_EQ(error_of([&] { stream.next(); }).code(), StatusCode::cancelled);
  giving_up.join();
}

TEST(BrokenStream, BeginsNoCallWhileNothingWaits) {
  Signal broken;
  FakeServer server;
  server.on_stream = [&](int number, auto&, DocumentStream& stream) {
    answer(stream, read(stream, 1).at(0));
    if (number == 1) {
      broken.set();
      return kGone;
    }
    read(stream);
    return grpc::Status::OK;
  };
  const auto source = [&, given = 0]() mutable -> std::optional<Document> {
    if (given == 1) {
      EXPECT_TRUE(broken.wait());
      std::this_thread::sleep_for(500ms);
      EXPECT_EQ(server.calls, 1);
    }
    return given++ < 2 ? std::optional{Document{"good"}} : std::nullopt;
  };
  expect_all(server.client().stream(source), 2);
  EXPECT_EQ(server.calls, 2);
}

}  // namespace
}  // namespace sentinova::test
