/// What calls do with a `Cancellation`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "sentinova/cancellation.h"
#include "sentinova/error.h"

namespace sentinova::internal {

/// Has a function called when a cancellation happens, for as long as this lives: at once where it has happened already.
/// When the destructor has returned, the function is not running and will not be called.
class CancelRegistration {
 public:
  CancelRegistration(const std::optional<Cancellation>& cancellation, std::function<void()> on_cancel);
  ~CancelRegistration();
  CancelRegistration(const CancelRegistration&) = delete;
  CancelRegistration& operator=(const CancelRegistration&) = delete;

  /// Sleeps; gives false, early, where the cancellation happens.
  static bool sleep(const std::optional<Cancellation>& cancellation, Duration time);

 private:
  std::shared_ptr<Cancellation::State> state_;
  std::uint64_t key_ = 0;
};

}  // namespace sentinova::internal
