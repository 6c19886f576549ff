/// The channel with its stubs, and how a call on it is made: deadline, metadata, waiting for the server, cancelling.
///
/// Knows calls. Must not know what is asked.
#pragma once

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "deadline.h"
#include "sentinova/options.h"
#include "sentinova/v1/model_service.grpc.pb.h"
#include "sentinova/v1/sentiment_service.grpc.pb.h"

namespace sentinova::internal {

/// What a call does where the server is away, starting or stopping.
enum class Away {
  wait,  ///< Waits for it, as the client's options say. For calls that may be repeated.
  fail,  ///< Fails at once.
};

/// What all calls of one client share. Its methods may be called from any thread.
class Core {
 public:
  /// Makes a unary call, blocking.
  using Invoke = std::function<grpc::Status(grpc::ClientContext&)>;

  /// Throws as `open_channel` does.
  explicit Core(ClientOptions options);

  const ClientOptions& options() const noexcept { return options_; }
  v1::SentimentService::Stub& sentiment() const noexcept { return *sentiment_; }
  v1::ModelService::Stub& models() const noexcept { return *models_; }

  /// Whether what ended with UNAVAILABLE is tried again until its deadline.
  bool persists() const noexcept { return options_.attempts > 1 && options_.wait_for_ready; }

  /// Makes a unary call, again and again where it may be; throws `Error` where it failed.
  void call(const CallOptions& options, Away away, const Invoke& invoke) const;

  /// Asks `grpc.health.v1.Health`; gives the number of the serving status.
  int check_health(const std::string& service, const CallOptions& options, Away away) const;

  /// Sets up the context of one attempt.
  void prepare(grpc::ClientContext& context, const Deadline& deadline, bool wait_for_ready) const;

  /// Adds to an error of a deadline why there is no connection, or else how the attempt before ended.
  Error explained(const Error& error, const std::optional<Error>& before) const;

 private:
  // HealthCheckRequest {string service = 1} and HealthCheckResponse {enum status = 1} have the wire format of these two
  // wrappers, which spares a dependency.
  using HealthStub = grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value>;

  grpc::Status ask_health(grpc::ClientContext& context, const std::string& service, int& answer) const;
  std::string connection_problem() const;

  ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SentimentService::Stub> sentiment_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

}  // namespace sentinova::internal
