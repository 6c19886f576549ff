#include "watching.h"

#include "conversion.h"
#include "model_conversion.h"
#include "status.h"

namespace sentinova::internal {
namespace {

/// Tells whether a failure passes by itself: the server is away, or the events were not taken quickly enough.
bool passes(const Error& error) { return means_away(error) || error.code() == StatusCode::aborted; }

}  // namespace

Watching::Watching(std::shared_ptr<const Core> core, std::vector<std::string> names, WatchOptions options)
    : core_(std::move(core)), options_(std::move(options)) {
  check_timeout(options_.timeout);
  for (std::string& name : names) {
    check_name("a model's name", name);
    request_.add_names(std::move(name));
  }
}

Watching::~Watching() {
  registration_.reset();
  cancel();
  if (reader_) reader_->Finish();
}

std::optional<ModelEvent> Watching::next() {
  if (!deadline_) {
    deadline_.emplace(options_.timeout);
    registration_.emplace(options_.cancellation, [this] { cancel(); });
  }
  v1::WatchModelsResponse response;
  while (!over_) {
    if (!reader_ && !begin_call()) break;
    if (reader_->Read(&response)) {
      told_.clear();
      waits_.reset();
      return event_from(response);
    }
    over_ = !take_end();
  }
  over_ = true;
  return std::nullopt;
}

void Watching::cancel() {
  const std::lock_guard lock{mutex_};
  cancelled_ = true;
  if (context_) context_->TryCancel();
  changed_.notify_all();
}

/// Begins a call; gives false where the watch was cancelled.
bool Watching::begin_call() {
  const std::lock_guard lock{mutex_};
  if (cancelled_) return false;
  context_ = std::make_unique<grpc::ClientContext>();
  // Not waiting for the connection: what is wrong with it is to be told.
  core_->prepare(*context_, *deadline_, false);
  reader_ = core_->models().WatchModels(context_.get(), request_);
  return true;
}

/// Takes in the end of a call; gives false where no other one is to follow.
bool Watching::take_end() {
  const grpc::Status status = reader_->Finish();
  reader_.reset();
  {
    const std::lock_guard lock{mutex_};
    if (cancelled_) return false;
  }
  const std::optional<Error> error = status.ok() ? std::nullopt : std::optional{error_from(status)};
  if (error && !(options_.reconnect && passes(*error))) {
    over_ = true;
    throw *error;
  }
  if (!options_.reconnect) return false;
  tell(error);
  const Duration wait = error ? waits_.after(*error) : waits_.after(Duration{});
  const std::optional<Duration> left = deadline_->left();
  if (!sleep(left ? std::min(wait, *left) : wait)) return false;
  if (deadline_->passes_within(Duration{})) {
    over_ = true;
    const Error late{StatusCode::deadline_exceeded, "the time of the watch is up"};
    throw error ? late.with_note("the last call ended with " + std::string{error->what()}) : late;
  }
  return true;
}

void Watching::tell(const std::optional<Error>& error) {
  const Cause cause = error ? Cause{error->code(), error->reason()} : Cause{StatusCode::ok, {}};
  if (told_.insert(cause).second && options_.on_interruption) options_.on_interruption(error);
}

/// Sleeps; gives false where the watch was cancelled.
bool Watching::sleep(Duration time) {
  std::unique_lock lock{mutex_};
  return !changed_.wait_for(lock, time, [this] { return cancelled_; });
}

}  // namespace sentinova::internal
