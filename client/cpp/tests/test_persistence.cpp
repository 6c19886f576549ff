// What calls do while the server is away, and how they are given up.

#include <gtest/gtest.h>

#include <thread>

#include "fake_server.h"

namespace sentinova::test {
namespace {

const auto kLoading = failure(grpc::StatusCode::UNAVAILABLE, "still loading", {"MODEL_LOADING"});

/// Has the first calls fail.
void fail_first(FakeServer& server, int count, const grpc::Status& status) {
  server.on_analyze = [count, status](int number, auto&, const auto&) {
    return number <= count ? status : grpc::Status::OK;
  };
}

TEST(Persistence, TriesAgainWhileTheServerIsUnavailable) {
  FakeServer server;
  fail_first(server, 2, kLoading);
  EXPECT_EQ(server.client().analyze("good").label, "positive");
  EXPECT_EQ(server.calls, 3);
}

TEST(Persistence, GoesOnAfterARowOfAttempts) {
  FakeServer server;
  fail_first(server, 5, kLoading);
  ClientOptions settings;
  settings.attempts = 2;
  EXPECT_EQ(server.client(settings).analyze("good").label, "positive");
  EXPECT_EQ(server.calls, 6);
}

TEST(Persistence, EndsAfterOneRowWhereItIsNotToWait) {
  FakeServer server;
  fail_first(server, 9, kLoading);
  ClientOptions settings;
  settings.attempts = 2;
  settings.wait_for_ready = false;
  const Error error = error_of([&] { server.client(settings).analyze("good"); });
  EXPECT_EQ(error.code(), StatusCode::unavailable);
  EXPECT_EQ(error.reason(), "MODEL_LOADING");
  EXPECT_EQ(server.calls, 2);
}

TEST(Persistence, MayBeTurnedOff) {
  FakeServer server;
  fail_first(server, 9, kLoading);
  ClientOptions settings;
  settings.attempts = 1;
  EXPECT_EQ(error_of([&] { server.client(settings).analyze("good"); }).reason(), "MODEL_LOADING");
  EXPECT_EQ(server.calls, 1);
}

TEST(Persistence, TellsWhyWhereTheTimeIsTooShortForAnotherAttempt) {
  FakeServer server;
  fail_first(server, 9, failure(grpc::StatusCode::UNAVAILABLE, "away", {"SERVER_DRAINING", "", {}, 5000}));
  ClientOptions settings;
  settings.attempts = 2;
  settings.timeout = 3s;
  EXPECT_EQ(error_of([&] { server.client(settings).analyze("good"); }).reason(), "SERVER_DRAINING");
  EXPECT_EQ(server.calls, 2);
}

TEST(Persistence, TellsWhatItWaitedForWhereTheDeadlineEndsTheWait) {
  FakeServer server;
  server.on_analyze = [](int number, grpc::ServerContext& context, const auto&) {
    return number <= 2 ? kLoading : hang(context);
  };
  ClientOptions settings;
  settings.attempts = 2;
  settings.timeout = 2s;
  const Error error = error_of([&] { server.client(settings).analyze("good"); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  EXPECT_NE(error.message().find("MODEL_LOADING"), std::string::npos) << error.message();
}

TEST(Persistence, LeavesOtherErrorsAsTheyAre) {
  FakeServer server;
  for (const auto code :
       {grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::INTERNAL, grpc::StatusCode::ABORTED}) {
    server.calls = 0;
    fail_first(server, 9, grpc::Status{code, "no"});
    EXPECT_EQ(static_cast<int>(error_of([&] { server.client().analyze("good"); }).code()), static_cast<int>(code));
    EXPECT_EQ(server.calls, 1);
  }
}

TEST(Persistence, TakesACancellationByTheServerForItsEnd) {
  FakeServer server;
  fail_first(server, 1, grpc::Status::CANCELLED);
  EXPECT_EQ(server.client().analyze("good").label, "positive");
  EXPECT_EQ(server.calls, 2);
}

TEST(Persistence, WaitsForAServerThatIsAway) {
  FakeServer server;
  server.stop();
  const Client client = server.client();
  std::thread waiting{[&client] { EXPECT_EQ(client.analyze("good").label, "positive"); }};
  std::this_thread::sleep_for(300ms);
  server.start();
  waiting.join();
}

TEST(Persistence, OutlivesARestart) {
  FakeServer server;
  const Client client = server.client();
  std::atomic<bool> done{false};
  std::atomic<int> answers{0};
  std::thread calling{[&] {
    while (!done) answers += client.analyze("good").label == "positive";
  }};
  for (int restart = 0; restart < 3; ++restart) {
    const int before = answers;
    while (answers < before + 5) std::this_thread::sleep_for(1ms);
    server.stop();
    server.start();
  }
  const int before = answers;
  while (answers < before + 5) std::this_thread::sleep_for(1ms);
  done = true;
  calling.join();
}

TEST(Persistence, SaysWhyThereWasNoConnection) {
  FakeServer server;
  server.stop();
  AnalysisOptions options;
  options.timeout = 500ms;
  const Error error = error_of([&] { server.client().analyze("good", options); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  EXPECT_NE(error.message().find("no connection to " + server.address()), std::string::npos) << error.message();
  EXPECT_NE(error.message().find("Connection refused"), std::string::npos) << error.message();

  ClientOptions settings;
  settings.wait_for_ready = false;
  settings.attempts = 1;
  EXPECT_EQ(error_of([&] { server.client(settings).analyze("good"); }).code(), StatusCode::unavailable);
}

TEST(Deadline, EndsACall) {
  FakeServer server;
  server.on_analyze = [](int, grpc::ServerContext& context, const auto&) { return hang(context); };
  AnalysisOptions options;
  options.timeout = 50ms;
  const Error error = error_of([&] { server.client().analyze("good", options); });
  EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  EXPECT_EQ(error.message().find("no connection"), std::string::npos) << error.message();
}

TEST(Cancellation, EndsACallUnderWay) {
  Signal begun;
  Signal ended;
  FakeServer server;
  server.on_analyze = [&](int, grpc::ServerContext& context, const auto&) {
    begun.set();
    const grpc::Status status = hang(context);
    ended.set();
    return status;
  };
  const Cancellation cancellation;
  std::thread giving_up{[&] {
    EXPECT_TRUE(begun.wait());
    cancellation.cancel();
  }};
  AnalysisOptions options;
  options.cancellation = cancellation;
  EXPECT_EQ(error_of([&] { server.client().analyze("good", options); }).code(), StatusCode::cancelled);
  giving_up.join();
  EXPECT_TRUE(ended.wait());
  EXPECT_EQ(server.calls, 1);
  EXPECT_TRUE(cancellation.cancelled());
}

TEST(Cancellation, EndsCallsToCome) {
  FakeServer server;
  AnalysisOptions options;
  options.cancellation = Cancellation{};
  options.cancellation->cancel();
  EXPECT_EQ(error_of([&] { server.client().analyze("good", options); }).code(), StatusCode::cancelled);
}

TEST(Cancellation, EndsTheWaitForAServer) {
  FakeServer server;
  server.stop();
  AnalysisOptions options;
  options.cancellation = Cancellation{};
  std::thread giving_up{[&] {
    std::this_thread::sleep_for(100ms);
    options.cancellation->cancel();
  }};
  EXPECT_EQ(error_of([&] { server.client().analyze("good", options); }).code(), StatusCode::cancelled);
  giving_up.join();
}

TEST(Cancellation, EndsThePauseBetweenAttempts) {
  Signal failed;
  FakeServer server;
  server.on_analyze = [&](int number, auto&, const auto&) {
    if (number == 2) failed.set();
    return failure(grpc::StatusCode::UNAVAILABLE, "away", {"SERVER_DRAINING", "", {}, 5000});
  };
  ClientOptions settings;
  settings.attempts = 2;
  settings.timeout = std::nullopt;
  AnalysisOptions options;
  options.cancellation = Cancellation{};
  std::thread giving_up{[&] {
    EXPECT_TRUE(failed.wait());
    options.cancellation->cancel();
  }};
  EXPECT_EQ(error_of([&] { server.client(settings).analyze("good", options); }).code(), StatusCode::cancelled);
  giving_up.join();
  EXPECT_EQ(server.calls, 2);
}

TEST(Cancellation, DoesNotTouchCallsThatHaveEnded) {
  FakeServer server;
  AnalysisOptions options;
  options.cancellation = Cancellation{};
  EXPECT_EQ(server.client().analyze("good", options).label, "positive");
  options.cancellation->cancel();
  options.cancellation->cancel();
}

}  // namespace
}  // namespace sentinova::test
