// Watches of models.

#include <gtest/gtest.h>

#include <thread>

#include "fake_server.h"

namespace sentinova::test {
namespace {

void tell(EventWriter& writer, v1::ModelEventKind kind, std::int64_t version = 0,
          v1::ModelVersionState state = v1::MODEL_VERSION_STATE_UNSPECIFIED) {
  v1::WatchModelsResponse event;
  event.set_kind(kind);
  event.set_version(version);
  event.set_state(state);
  if (version != 0) {
    event.set_model("m");
    event.set_message("why");
    event.set_default_version(2);
    event.mutable_time()->set_seconds(1'700'000'000);
  }
  writer.Write(event);
}

void tell_state(EventWriter& writer) {
  tell(writer, v1::MODEL_EVENT_KIND_INITIAL, 1, v1::MODEL_VERSION_STATE_AVAILABLE);
  tell(writer, v1::MODEL_EVENT_KIND_SYNCED);
}

std::string kinds_of(ModelWatch& watch, int count) {
  std::string kinds;
  for (int at = 0; at < count; ++at) {
    const auto event = watch.next();
    kinds += event ? std::string{name_of(event->kind)} + " " : "end ";
  }
  return kinds;
}

TEST(Watch, TellsWhatIsSoAndThenEveryChange) {
  std::vector<std::string> names;
  FakeServer server;
  server.on_watch = [&](int, grpc::ServerContext& context, const v1::WatchModelsRequest& request, EventWriter& writer) {
    names = {request.names().begin(), request.names().end()};
    tell_state(writer);
    tell(writer, v1::MODEL_EVENT_KIND_STATE, 2, v1::MODEL_VERSION_STATE_LOADING);
    tell(writer, static_cast<v1::ModelEventKind>(77));
    return hang(context);
  };
  ModelWatch watch = server.client().watch_models({"m", "n"});
  const auto first = watch.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kind, EventKind::initial);
  EXPECT_EQ(first->model, "m");
  EXPECT_EQ(first->version, 1);
  EXPECT_EQ(first->state, VersionState::available);
  EXPECT_EQ(first->message, "why");
  EXPECT_EQ(first->time, Time{1'700'000'000s});
  EXPECT_EQ(first->default_version, 2);
  const auto synced = watch.next();
  EXPECT_EQ(synced->kind, EventKind::synced);
  EXPECT_FALSE(synced->version);
  EXPECT_EQ(synced->state, VersionState::unspecified);
  EXPECT_FALSE(synced->time);
  EXPECT_EQ(kinds_of(watch, 2), "STATE UNKNOWN ");
  EXPECT_EQ(names, (std::vector<std::string>{"m", "n"}));
  EXPECT_FALSE(server.had_deadline);
}

TEST(Watch, BeginsAgainWhereAnEndPasses) {
  FakeServer server;
  server.on_watch = [](int number, grpc::ServerContext& context, const auto&, EventWriter& writer) {
    tell_state(writer);
    switch (number) {
      case 1: return grpc::Status::OK;
      case 2: return grpc::Status{grpc::StatusCode::UNAVAILABLE, "gone"};
      case 3: return failure(grpc::StatusCode::ABORTED, "slow", {"WATCH_TOO_SLOW"});
      case 4: return grpc::Status::CANCELLED;
      default: return hang(context);
    }
  };
  std::string told;
  WatchOptions options;
  options.on_interruption = [&told](const std::optional<Error>& error) {
    told += (error ? std::string{name_of(error->code())} : "end") + " ";
  };
  ModelWatch watch = server.client().watch_models({}, options);
  std::string expected;
  for (int call = 0; call < 5; ++call) expected += "INITIAL SYNCED ";
  EXPECT_EQ(kinds_of(watch, 10), expected);
  EXPECT_EQ(told, "end UNAVAILABLE ABORTED CANCELLED ");
}

TEST(Watch, TellsOfACauseOnce) {
  FakeServer server;
  server.on_watch = [](int number, grpc::ServerContext& context, const auto&, EventWriter& writer) {
    if (number <= 3) return grpc::Status{grpc::StatusCode::UNAVAILABLE, "gone"};
    tell_state(writer);
    return hang(context);
  };
  int told = 0;
  WatchOptions options;
  options.on_interruption = [&told](const auto&) { ++told; };
  ModelWatch watch = server.client().watch_models({}, options);
  EXPECT_EQ(kinds_of(watch, 2), "INITIAL SYNCED ");
  EXPECT_EQ(told, 1);
  EXPECT_EQ(server.calls, 4);
}

TEST(Watch, OutlivesARestartOfTheServer) {
  FakeServer server;
  server.on_watch = [](int, grpc::ServerContext& context, const auto&, EventWriter& writer) {
    tell_state(writer);
    return hang(context);
  };
  ModelWatch watch = server.client().watch_models();
  EXPECT_EQ(kinds_of(watch, 2), "INITIAL SYNCED ");
  server.stop();
  std::thread restarting{[&server] {
    std::this_thread::sleep_for(200ms);
    server.start();
  }};
  EXPECT_EQ(kinds_of(watch, 2), "INITIAL SYNCED ");
  restarting.join();
}

TEST(Watch, ThrowsWhatDoesNotPass) {
  FakeServer server;
  server.on_watch = [](int, auto&, const auto&, EventWriter& writer) {
    tell_state(writer);
    return failure(grpc::StatusCode::PERMISSION_DENIED, "no", {"NOT_ALLOWED"});
  };
  ModelWatch watch = server.client().watch_models();
  EXPECT_EQ(kinds_of(watch, 2), "INITIAL SYNCED ");
  EXPECT_EQ(error_of([&] { watch.next(); }).reason(), "NOT_ALLOWED");
  EXPECT_FALSE(watch.next());
}

TEST(Watch, MayEndWithItsCall) {
  FakeServer server;
  server.on_watch = [](int number, auto&, const auto&, EventWriter& writer) {
    tell_state(writer);
    return number == 1 ? grpc::Status::OK : grpc::Status{grpc::StatusCode::UNAVAILABLE, "gone"};
  };
  WatchOptions options;
  options.reconnect = false;
  ModelWatch stopped = server.client().watch_models({}, options);
  EXPECT_EQ(kinds_of(stopped, 4), "INITIAL SYNCED end end ");
  ModelWatch gone = server.client().watch_models({}, options);
  EXPECT_EQ(kinds_of(gone, 2), "INITIAL SYNCED ");
  EXPECT_EQ(error_of([&] { gone.next(); }).code(), StatusCode::unavailable);
}

TEST(Watch, IsCancelledFromAnotherThread) {
  for (const bool away : {false, true}) {
    for (const bool by_option : {false, true}) {
      FakeServer server;
      server.on_watch = [&](int, grpc::ServerContext& context, const auto&, EventWriter&) {
        return away ? grpc::Status{grpc::StatusCode::UNAVAILABLE, "gone"} : hang(context);
      };
      WatchOptions options;
      options.cancellation = Cancellation{};
      ModelWatch watch = server.client().watch_models({}, options);
      std::thread giving_up{[&] {
        std::this_thread::sleep_for(100ms);
        by_option ? options.cancellation->cancel() : watch.cancel();
      }};
      EXPECT_EQ(kinds_of(watch, 2), "end end ");
      giving_up.join();
    }
  }
}

TEST(Watch, EndsWithItsTime) {
  for (const bool away : {false, true}) {
    FakeServer server;
    server.on_watch = [away](int, grpc::ServerContext& context, const auto&, EventWriter&) {
      return away ? grpc::Status{grpc::StatusCode::UNAVAILABLE, "gone"} : hang(context);
    };
    WatchOptions options;
    options.timeout = 400ms;
    const Error error = error_of([&] { server.client().watch_models({}, options).next(); });
    EXPECT_EQ(error.code(), StatusCode::deadline_exceeded);
  }
}

TEST(Watch, OutlivesItsClient) {
  FakeServer server;
  server.on_watch = [](int, grpc::ServerContext& context, const auto&, EventWriter& writer) {
    tell_state(writer);
    return hang(context);
  };
  std::optional<Client> client = server.client();
  ModelWatch watch = client->watch_models();
  client.reset();
  ModelWatch moved = std::move(watch);
  EXPECT_EQ(kinds_of(moved, 2), "INITIAL SYNCED ");
}

}  // namespace
}  // namespace sentinova::test
