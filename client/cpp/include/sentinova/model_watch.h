/// A watch of the models of a server.
#pragma once

#include <memory>
#include <optional>

#include "sentinova/models.h"
#include "sentinova/next_iterator.h"

namespace sentinova {

namespace internal {
class Watching;
}

/// What is so, and then every change as it comes: events of the kind `initial`, one `synced`, then the changes.
///
/// The call begins with the first `next`. `next` is for one thread at a time; `cancel` for any. The destructor ends the
/// call.
class ModelWatch {
 public:
  using iterator = NextIterator<ModelWatch, ModelEvent>;

  explicit ModelWatch(std::unique_ptr<internal::Watching> watching);
  ModelWatch(ModelWatch&&) noexcept;
  ModelWatch& operator=(ModelWatch&&) noexcept;
  ~ModelWatch();

  /// Waits for the next event, however long it takes, and gives it. Nothing: the watch was cancelled, or, where it does
  /// not reconnect, the server stopped.
  ///
  /// Throws `Error` where the watch ended in a way that does not pass by itself, or where it does not reconnect.
  std::optional<ModelEvent> next();

  /// Ends the watch, and a `next` that waits.
  void cancel();

  iterator begin() { return iterator{*this}; }
  iterator end() { return iterator{}; }

 private:
  std::unique_ptr<internal::Watching> watching_;
};

}  // namespace sentinova
