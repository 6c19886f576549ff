/// Giving up calls from another thread.
#pragma once

#include <memory>

namespace sentinova {

namespace internal {
class CancelRegistration;
}

/// A switch that ends the calls it was given to with CANCELLED, those under way and those yet to come.
///
/// Copies are the same switch. It may be used from any thread, and cannot be reset.
///
///     sentinova::AnalysisOptions options;
///     options.cancellation = sentinova::Cancellation{};
///     // in another thread:
///     options.cancellation->cancel();
class Cancellation {
 public:
  Cancellation();

  /// Ends the calls. May be called again.
  void cancel() const;

  /// Tells whether `cancel` was called.
  bool cancelled() const;

 private:
  friend class internal::CancelRegistration;
  struct State;

  std::shared_ptr<State> state_;
};

}  // namespace sentinova
