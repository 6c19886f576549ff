#include "sentinova/cancellation.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "cancel_registration.h"

namespace sentinova {

struct Cancellation::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool cancelled = false;
  std::uint64_t next_key = 0;
  std::map<std::uint64_t, std::function<void()>> functions;
};

Cancellation::Cancellation() : state_(std::make_shared<State>()) {}

void Cancellation::cancel() const {
  const std::lock_guard lock{state_->mutex};
  if (std::exchange(state_->cancelled, true)) return;
  // Called under the lock, so that none of them runs once its registration is gone.
  for (const auto& [key, function] : state_->functions) function();
  state_->changed.notify_all();
}

bool Cancellation::cancelled() const {
  const std::lock_guard lock{state_->mutex};
  return state_->cancelled;
}

namespace internal {

CancelRegistration::CancelRegistration(const std::optional<Cancellation>& cancellation,
                                       std::function<void()> on_cancel) {
  if (!cancellation) return;
  state_ = cancellation->state_;
  const std::lock_guard lock{state_->mutex};
  if (state_->cancelled) {
    on_cancel();
  } else {
    key_ = state_->next_key++;
    state_->functions.emplace(key_, std::move(on_cancel));
  }
}

CancelRegistration::~CancelRegistration() {
  if (!state_) return;
  const std::lock_guard lock{state_->mutex};
  state_->functions.erase(key_);
}

bool CancelRegistration::sleep(const std::optional<Cancellation>& cancellation, Duration time) {
  if (!cancellation) {
    std::this_thread::sleep_for(time);
    return true;
  }
  const auto& state = cancellation->state_;
  std::unique_lock lock{state->mutex};
  return !state->changed.wait_for(lock, time, [&state] { return state->cancelled; });
}

}  // namespace internal
}  // namespace sentinova
