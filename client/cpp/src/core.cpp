#include "core.h"

#include <grpcpp/completion_queue.h>

#include <utility>

#include "cancel_registration.h"
#include "connection.h"
#include "status.h"
#include "waits.h"

namespace sentinova::internal {
namespace {

constexpr Duration kProbe = std::chrono::milliseconds{200};  // to learn why there is no connection

gpr_timespec timespec_in(Duration time) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(time.count(), GPR_TIMESPAN));
}

}  // namespace

Core::Core(ClientOptions options)
    : options_(std::move(options)),
      channel_(open_channel(options_)),
      sentiment_(v1::SentimentService::NewStub(channel_)),
      models_(v1::ModelService::NewStub(channel_)) {}

void Core::prepare(grpc::ClientContext& context, const Deadline& deadline, bool wait_for_ready) const {
  if (const auto left = deadline.left()) context.set_deadline(timespec_in(*left));
  context.set_wait_for_ready(wait_for_ready);
  for (const auto& [key, value] : options_.metadata) context.AddMetadata(key, value);
}

void Core::call(const CallOptions& options, Away away, const Invoke& invoke) const {
  const Deadline deadline{options.timeout ? options.timeout : options_.timeout};
  Waits waits;
  std::optional<Error> before;  // why the attempts before this row failed
  for (;;) {
    grpc::ClientContext context;
    prepare(context, deadline, away == Away::wait && options_.wait_for_ready);
    grpc::Status status;
    {
      const CancelRegistration registration{options.cancellation, [&context] { context.TryCancel(); }};
      status = invoke(context);
    }
    if (status.ok()) return;
    const Error error = error_from(status);
    if (away == Away::fail || !persists() || !means_away(error)) throw explained(error, before);
    const bool given_up = options.cancellation && options.cancellation->cancelled();
    const Duration wait = waits.after(error);
    if (!given_up && deadline.passes_within(wait)) throw error;
    if (!CancelRegistration::sleep(options.cancellation, wait)) {
      throw Error{StatusCode::cancelled, "the call was cancelled"};
    }
    before = error;
  }
}

int Core::check_health(const std::string& service, const CallOptions& options, Away away) const {
  int answer = 0;
  call(options, away, [&](grpc::ClientContext& context) { return ask_health(context, service, answer); });
  return answer;
}

grpc::Status Core::ask_health(grpc::ClientContext& context, const std::string& service, int& answer) const {
  google::protobuf::StringValue request;
  request.set_value(service);
  google::protobuf::Int32Value response;
  grpc::Status status;
  grpc::CompletionQueue events;
  HealthStub stub{channel_};
  const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &events);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  events.Next(&tag, &ok);
  events.Shutdown();
  while (events.Next(&tag, &ok)) continue;  // a queue is emptied before it goes
  answer = response.value();
  return status;
}

Error Core::explained(const Error& error, const std::optional<Error>& before) const {
  if (error.code() != StatusCode::deadline_exceeded || !error.reason().empty()) return error;
  const std::string problem = connection_problem();
  if (!problem.empty()) return error.with_note("no connection to " + options_.address + ": " + problem);
  return before ? error.with_note("the attempt before ended with " + std::string{before->what()}) : error;
}

std::string Core::connection_problem() const {
  if (channel_->GetState(false) == GRPC_CHANNEL_READY) return {};
  // A call that does not wait for the connection is told what is wrong with it.
  grpc::ClientContext context;
  prepare(context, Deadline{kProbe}, false);
  int answer = 0;
  const grpc::Status status = ask_health(context, "", answer);
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ? status.error_message() : std::string{};
}

}  // namespace sentinova::internal
