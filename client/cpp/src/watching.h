/// A watch of models, and the watches that take its place when it is interrupted.
///
/// Knows the call and after which ends another one follows. Must not know what is done with the events.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cancel_registration.h"
#include "core.h"
#include "sentinova/models.h"
#include "waits.h"

namespace sentinova::internal {

class Watching {
 public:
  /// Throws std::invalid_argument where an option makes no sense.
  Watching(std::shared_ptr<const Core> core, std::vector<std::string> names, WatchOptions options);
  ~Watching();
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  /// As `ModelWatch::next`.
  std::optional<ModelEvent> next();

  /// As `ModelWatch::cancel`.
  void cancel();

 private:
  using Reader = grpc::ClientReader<v1::WatchModelsResponse>;
  using Cause = std::pair<StatusCode, std::string>;  // code and reason; OK: the server ended the watch

  bool begin_call();
  bool take_end();
  void tell(const std::optional<Error>& error);
  bool sleep(Duration time);

  const std::shared_ptr<const Core> core_;
  const WatchOptions options_;
  v1::WatchModelsRequest request_;

  std::mutex mutex_;  // guards the next three against `cancel`
  std::condition_variable changed_;
  bool cancelled_ = false;
  std::unique_ptr<grpc::ClientContext> context_;

  std::optional<Deadline> deadline_;  // from the first `next` on
  std::unique_ptr<Reader> reader_;
  std::set<Cause> told_;
  Waits waits_;
  bool over_ = false;
  std::optional<CancelRegistration> registration_;
};

}  // namespace sentinova::internal
